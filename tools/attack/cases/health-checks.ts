import { transactions } from '../database-work.ts';
import type { AttackCase } from '../attack-case.ts';
import { Tally, failuresOf } from '../tally.ts';

const REQUESTS = 4000;
const PARALLEL = 50;

export const healthChecks: AttackCase = {
  name: 'health-checks',
  does: 'Somebody without a token asks for /health 4,000 times, 50 at a time.',
  work: 'A statement and a call to Temporal for each.',
  hasShortForm: false,
  run: async (target) => {
    const tally = new Tally();
    const before = await transactions(target.pool);
    let sent = 0;
    const ask = async (): Promise<void> => {
      while (sent++ < REQUESTS) tally.add(await target.ask('GET /health'));
    };
    await Promise.all(Array.from({ length: PARALLEL }, ask));
    const count = (await transactions(target.pool)) - before;
    tally.note('transactions meanwhile', count);
    return {
      achieved: tally.counts,
      // Bystanders have some hundred of their own meanwhile.
      failures: failuresOf({ [`${REQUESTS} requests made ${count} transactions.`]: count > REQUESTS / 2 }),
    };
  },
};
