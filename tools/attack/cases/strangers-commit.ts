import type { AttackCase } from '../attack-case.ts';
import { GUEST, commitWithAdds, welcomeForMany } from '../mls-bytes.ts';
import { newGroupId, seedConversation } from '../seed.ts';
import { Tally, failuresOf, telling } from '../tally.ts';

const ADDS = 60_000;

export const strangersCommit: AttackCase = {
  name: 'strangers-commit',
  does: 'A stranger posts a commit with 60,000 Adds and a Welcome with 60,000 references, to a conversation of others, to none, and to an open one.',
  work: 'Parsing 5 MB of MLS and comparing 60,000 proposals with 60,000 references.',
  run: async (target) => {
    const adds = target.isShort ? 6000 : ADDS;
    const tally = new Tally();
    const welcome = welcomeForMany(adds);
    const answers: string[] = [];
    const existing = await seedConversation(target.pool, ['owner'], { protocol: 'mls' });
    let openStatus = 0;
    const policy = { externalJoin: 'anyone' } as const;
    const open = await seedConversation(target.pool, ['owner'], { protocol: 'mls', policy });
    for (const id of [existing, newGroupId(), open]) {
      const body = { commit: commitWithAdds(id, 0, adds), welcome, adds: [GUEST] };
      const answer = await target.ask(`POST /v1/conversations/${id}/commits`, { user: 'stranger', body });
      if (id === open) openStatus = answer.status;
      else answers.push(telling(tally.add(answer)));
    }
    tally.note(`open conversation ${openStatus}`);
    return {
      achieved: tally.counts,
      failures: failuresOf({
        'A stranger was not answered 404.': tally.number((status) => status !== 404) > 0,
        [`In an open conversation the answer was ${openStatus}.`]: openStatus < 400 || openStatus >= 500,
        'The answers for a conversation of others and for none differ.': answers[0] !== answers[1],
      }),
    };
  },
};
