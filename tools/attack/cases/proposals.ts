import { randomBytes } from 'node:crypto';
import { bytesRead } from '../database-work.ts';
import type { AttackCase } from '../attack-case.ts';
import { groupInfoBytes, publicProposal } from '../mls-bytes.ts';
import { seedConversation } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

const GROUP_INFO_BYTES = 5_000_000;
const PROPOSALS = 100;
/** The GroupInfo a few times, and what else happens meanwhile. Loaded 100 times it is 500 MB. */
const MAX_READ_SHARE = 6;

export const proposals: AttackCase = {
  name: 'proposals',
  does: 'A member and an outsider send a list of 100 public proposals of 100 bytes to a conversation with a GroupInfo of 5 MB.',
  work: 'Loading the GroupInfo for each proposal: 500 MB for a request of 14 kB.',
  run: async (target) => {
    const tally = new Tally();
    const id = randomBytes(16).toString('base64url');
    const size = target.isShort ? GROUP_INFO_BYTES / 5 : GROUP_INFO_BYTES;
    const tree = randomBytes(size);
    const pid = target.process?.pid ?? process.pid;
    const groupInfo = Buffer.from(
      groupInfoBytes({ conversation: id, epoch: 0, tree, externalPub: randomBytes(32) }),
      'base64',
    );
    const policy = { externalJoin: 'anyone' } as const;
    await seedConversation(target.pool, ['owner', 'proposer'], { id, protocol: 'mls', policy, groupInfo });
    const messages = Array.from({ length: PROPOSALS }, (_, i) => ({
      id: `p-${i}`,
      ciphertext: publicProposal(id, 0, 1, i),
    }));
    const failures: string[] = [];
    for (const user of ['proposer', 'outsider']) {
      const before = bytesRead(pid);
      tally.add(await target.ask(`POST /v1/conversations/${id}/messages`, { user, body: { messages } }));
      const mb = (bytesRead(pid) - before) / 1_000_000;
      tally.note(`MB read for the ${user}`, Math.round(mb));
      if (mb > (MAX_READ_SHARE * size) / 1_000_000) {
        failures.push(`For the request of the ${user} the service read ${mb.toFixed(0)} MB.`);
      }
    }
    return {
      achieved: tally.counts,
      failures: [...failures, ...failuresOf({ 'The service failed.': tally.number((status) => status >= 500) > 0 })],
    };
  },
};
