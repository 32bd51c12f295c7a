import type { AttackCase } from '../attack-case.ts';
import { GUEST, commitWithAdds, welcomeForMany } from '../mls-bytes.ts';
import { seedConversation } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

const ADDS = 60_000;
const USERS = 10_000;

export const membersCommit: AttackCase = {
  name: 'members-commit',
  does: 'A member posts the commit with 60,000 Adds and the Welcome with 60,000 references, and then lists of 10,000 users.',
  work: 'The same as for a stranger, and statements for every user in the list.',
  run: async (target) => {
    const adds = target.isShort ? 6000 : ADDS;
    const tally = new Tally();
    const id = await seedConversation(target.pool, ['member'], { protocol: 'mls' });
    const path = `POST /v1/conversations/${id}/commits`;
    const users = Array.from({ length: USERS }, (_, i) => `nobody-${i}`);
    const commit = commitWithAdds(id, 0, adds);
    const bodies = [
      { commit, welcome: welcomeForMany(adds), adds: [GUEST] },
      { commit, adds: users, removes: users },
      { commit: commitWithAdds(id, 0, 1001), welcome: welcomeForMany(1001), adds: users },
    ];
    for (const body of bodies) tally.add(await target.ask(path, { user: 'member', body }));
    return {
      achieved: tally.counts,
      failures: failuresOf({
        'A commit with more Adds than members may be was accepted.': tally.number((status) => status < 400) > 0,
        'The service failed.': tally.number((status) => status >= 500) > 0,
      }),
    };
  },
};
