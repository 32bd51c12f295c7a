import { randomBytes } from 'node:crypto';
import { blocksRead } from '../database-work.ts';
import type { AttackCase } from '../attack-case.ts';
import { groupInfoBytes, publicProposal } from '../mls-bytes.ts';
import { seedConversation } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

const GROUP_INFO_BYTES = 5_000_000;
const PROPOSALS = 100;
/** The GroupInfo once or twice (8 kB blocks), and what else happens meanwhile. Loaded 100 times it is 61,000. */
const MAX_BLOCKS = 8000;

export const proposals: AttackCase = {
  name: 'proposals',
  does: 'A member and an outsider send a list of 100 public proposals of 100 bytes to a conversation with a GroupInfo of 5 MB.',
  work: 'Loading the GroupInfo for each proposal: 500 MB for a request of 14 kB.',
  run: async (target) => {
    const tally = new Tally();
    const id = randomBytes(16).toString('base64url');
    const tree = randomBytes(target.isShort ? GROUP_INFO_BYTES / 5 : GROUP_INFO_BYTES);
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
      const before = await blocksRead(target.pool);
      tally.add(await target.ask(`POST /v1/conversations/${id}/messages`, { user, body: { messages } }));
      const blocks = (await blocksRead(target.pool)) - before;
      tally.note(`blocks read for the ${user}`, blocks);
      if (blocks > MAX_BLOCKS) failures.push(`The request of the ${user} read ${blocks} blocks from the database.`);
    }
    return {
      achieved: tally.counts,
      failures: [...failures, ...failuresOf({ 'The service failed.': tally.number((status) => status >= 500) > 0 })],
    };
  },
};
