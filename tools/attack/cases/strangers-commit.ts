import type { AttackCase } from '../attack-case.ts';
import { commitWithAdds, welcomeForMany } from '../mls-bytes.ts';
import { newGroupId, seedConversation } from '../seed.ts';
import { Tally, failuresOf, telling } from '../tally.ts';

const ADDS = 60_000;

export const strangersCommit: AttackCase = {
  name: 'strangers-commit',
  does: 'A stranger posts a commit with 60,000 Adds and a Welcome with 60,000 references, to a conversation of others and to none.',
  work: 'Parsing 5 MB of MLS and comparing 60,000 proposals with 60,000 references.',
  run: async (target) => {
    const adds = target.isShort ? 6000 : ADDS;
    const tally = new Tally();
    const welcome = welcomeForMany(adds);
    const answers: string[] = [];
    const existing = await seedConversation(target.pool, ['owner'], { protocol: 'mls' });
    for (const id of [existing, newGroupId()]) {
      const body = { commit: commitWithAdds(id, 0, adds), welcome, adds: ['stranger'] };
      const answer = await target.ask(`POST /v1/conversations/${id}/commits`, { user: 'stranger', body });
      answers.push(telling(tally.add(answer)));
    }
    return {
      achieved: tally.counts,
      failures: failuresOf({
        'A stranger was not answered 404.': tally.number((status) => status !== 404) > 0,
        'The answers for a conversation of others and for none differ.': answers[0] !== answers[1],
      }),
    };
  },
};
