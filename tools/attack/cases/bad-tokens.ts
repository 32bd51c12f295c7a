import { tokenOf } from '../../harness/tokens.ts';
import type { AttackCase } from '../attack-case.ts';
import { Tally, failuresOf } from '../tally.ts';

/** Above the number of refused tokens that an address may send in a minute. */
const BAD = 700;

export const badTokens: AttackCase = {
  name: 'bad-tokens',
  does: 'One address sends 700 bad tokens. Then somebody else at this address comes with a good one, and another with an expired one.',
  work: 'None: the others must not pay for it.',
  hasShortForm: false,
  run: async (target) => {
    const tally = new Tally();
    for (let i = 0; i < BAD; i++) {
      tally.add(await target.ask('GET /v1/welcomes', { headers: { authorization: `Bearer bad.${i}.token` } }));
    }
    const good = await target.ask('GET /v1/welcomes', { user: 'neighbour' });
    const expired = await tokenOf('neighbour-2', { expiresIn: '-1m' });
    const old = await target.ask('GET /v1/welcomes', { headers: { authorization: `Bearer ${expired}` } });
    tally.note(`good token ${good.status}`);
    tally.note(`expired token ${old.status}`);
    return {
      achieved: tally.counts,
      failures: failuresOf({
        [`A good token of somebody else was answered ${good.status}.`]: good.status !== 200,
        [`An expired token of somebody else was answered ${old.status}.`]: old.status !== 401,
        'The bad tokens were not limited.': tally.number((status) => status === 429) === 0,
      }),
    };
  },
};
