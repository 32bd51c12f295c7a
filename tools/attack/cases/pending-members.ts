import type { AttackCase } from '../attack-case.ts';
import { newGroupId, seedConversation } from '../seed.ts';
import { Tally } from '../tally.ts';

export const pendingMembers: AttackCase = {
  name: 'pending-members',
  does: 'An admin of an MLS conversation that was reset, who is in no leaf of the successor yet, tries every operation there.',
  work: 'None. Whoever has not joined the group decides nothing in it.',
  run: async (target) => {
    const tally = new Tally();
    const old = await seedConversation(target.pool, ['founder', 'deputy', 'clerk'], { protocol: 'mls' });
    const role = { role: 'admin' };
    tally.add(await target.ask(`PUT /v1/conversations/${old}/members/deputy/role`, { user: 'founder', body: role }));
    const successor = newGroupId();
    tally.add(await target.ask(`POST /v1/conversations/${old}/reset`, { user: 'founder', body: { successor } }));

    const path = `/v1/conversations/${successor}`;
    const operations: readonly (readonly [string, unknown])[] = [
      [`PATCH ${path}`, { policy: { whoMayAdd: 'nobody' } }],
      [`PUT ${path}/members/clerk/role`, role],
      [`POST ${path}/unread`, { by: 1 }],
      [`POST ${path}/reset`, { successor: newGroupId() }],
      [`DELETE ${path}`, undefined],
    ];
    const failures: string[] = [];
    for (const [what, body] of operations) {
      const answer = tally.add(await target.ask(what, { user: 'deputy', ...(body === undefined ? {} : { body }) }));
      const isRefused = answer.status === 403 || answer.status === 404;
      if (!isRefused) failures.push(`${what.replace(successor, '{id}')} of a pending member: ${answer.status}.`);
    }
    return { achieved: tally.counts, failures };
  },
};
