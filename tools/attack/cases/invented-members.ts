import { loadSuite } from '../../../client/testing.ts';
import type { Answer } from '../../harness/answer.ts';
import type { AttackCase, Target } from '../attack-case.ts';
import { realCommit, startRealGroup } from '../mls-group.ts';
import { newKeys } from '../own-keys.ts';
import { newGroupId, seedConversation } from '../seed.ts';
import { Tally } from '../tally.ts';

/** Group sizes, with the number of invented members that are more than half. */
const GROUPS = [
  { members: 5, invented: 6 },
  { members: 50, invented: 51 },
] as const;

export const inventedMembers: AttackCase = {
  name: 'invented-members',
  does: 'A member of a group of 5, of 50 and of an MLS group adds more users of its own than there are members. They write, report and ask for a reset.',
  work: 'Handing the group over to whoever invents most members.',
  run: async (target) => {
    const tally = new Tally();
    const failures: string[] = [];
    for (const { members, invented } of target.isShort ? GROUPS.slice(0, 1) : GROUPS) {
      const users = Array.from({ length: members }, (_, i) => (i === 0 ? 'boss' : i === 1 ? 'usurper' : `loyal-${i}`));
      const id = await seedConversation(target.pool, users);
      const puppets = Array.from({ length: invented }, (_, i) => `puppet-${members}-${i}`);
      const add = { users: puppets };
      tally.add(await target.ask(`POST /v1/conversations/${id}/members`, { user: 'usurper', body: add }));
      // In `opaque` conversations a message is all that it takes to have acted.
      for (const user of puppets) {
        const body = { id: `hello-${user}`, ciphertext: 'AAAA' };
        tally.add(await target.ask(`POST /v1/conversations/${id}/messages`, { user, body }));
      }
      const taken = await vote(target, id, puppets, tally);
      if (taken) failures.push(`A group of ${members} was reset by ${invented} invented members.`);
    }
    if (await takesRealGroup(target, tally)) failures.push('An MLS group of 3 was reset by 4 invented members.');
    return { achieved: tally.counts, failures };
  },
};

/** The invented members report, and one of them resets. @returns whether the reset was accepted */
async function vote(target: Target, id: string, puppets: readonly string[], tally: Tally): Promise<boolean> {
  for (const user of puppets) {
    const body = { seq: 1, epoch: 1, reason: 'stuck' };
    tally.add(await target.ask(`POST /v1/conversations/${id}/reports`, { user, body }));
  }
  const resets: Answer[] = [];
  for (const user of [puppets[0] ?? '', 'usurper']) {
    const body = { successor: newGroupId() };
    resets.push(tally.add(await target.ask(`POST /v1/conversations/${id}/reset`, { user, body })));
  }
  return resets.some(({ status }) => status < 300);
}

async function takesRealGroup(target: Target, tally: Tally): Promise<boolean> {
  const suite = await loadSuite();
  const group = await startRealGroup(target, suite, ['boss', 'usurper', 'loyal']);
  const puppets = ['one', 'two', 'three', 'four'].map((name) => `puppet-mls-${name}`);
  const keys = await Promise.all(puppets.map((user) => newKeys(user, suite)));
  const proposals = keys.map(({ publicPackage }) => ({
    proposalType: 'add' as const,
    add: { keyPackage: publicPackage },
  }));
  const { body } = await realCommit(group.stateOf('usurper'), suite, proposals);
  const { welcome: _unclaimed, ...rest } = body;
  const answer = await target.ask(`POST /v1/conversations/${group.id}/commits`, {
    user: 'usurper',
    body: { ...rest, adds: puppets },
  });
  tally.add(answer);
  return vote(target, group.id, puppets, tally);
}
