import type { AttackCase } from '../attack-case.ts';
import { newGroupId } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

export const lastAdmin: AttackCase = {
  name: 'last-admin',
  does: 'A stranger makes a user the last admin of a conversation whose last admin may not leave. The user erases itself.',
  work: 'None. The user must not be held.',
  run: async (target) => {
    const tally = new Tally();
    const id = newGroupId();
    const policy = { externalJoin: 'nobody', lastAdmin: 'refuse' };
    const create = { id, protocol: 'opaque', members: ['prisoner', 'bystander'], policy };
    const path = `/v1/conversations/${id}/members`;
    tally.add(await target.ask('POST /v1/conversations', { user: 'jailer', body: create }));
    tally.add(await target.ask(`PUT ${path}/prisoner/role`, { user: 'jailer', body: { role: 'admin' } }));
    tally.add(await target.ask(`POST ${path}/jailer/remove`, { user: 'jailer', body: {} }));
    const erased = await target.ask('DELETE /v1/me', { user: 'prisoner' });
    const { body } = await target.ask(`GET ${path}`, { user: 'bystander' });
    const left = ((body.members ?? []) as readonly { readonly user: string }[]).map(({ user }) => user);
    tally.note(`erase ${erased.status}`);
    return {
      achieved: tally.counts,
      failures: failuresOf({
        [`DELETE /v1/me was answered ${erased.status}.`]: erased.status >= 300,
        'The user is still a member after it erased itself.': left.includes('prisoner'),
      }),
    };
  },
};
