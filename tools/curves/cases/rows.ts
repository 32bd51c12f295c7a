import { overviewConversations } from '../../../store/conversation/overview.ts';
import { makeSweep } from '../../../store/retention/sweep.ts';
import { listDue } from '../../../store/retention/retention.ts';
import { SWEEP_AGES } from '../../../worker/create-worker.ts';
import { makePool } from '../../../store/pool.ts';
import { below, makeRandom } from '../../load/random.ts';
import type { Curve } from '../curve.ts';
import { type Job, measureInTurns } from '../in-turns.ts';
import { manyId, seedMany } from '../../load/seed-many.ts';
import type { World } from '../world.ts';

const SIZES = [100, 1000, 10_000, 100_000];
const QUICK_SIZES = [100, 10_000];
const PAGE = 50;
/** Conversations that get messages, of however many there are. */
const USED = 100;

/** Cost against the conversations that the database holds: one database for each size, side by side. */
export async function measureRows(world: World): Promise<Curve> {
  const jobs: Job[] = [];
  for (const x of world.quick ? QUICK_SIZES : SIZES) {
    const { url, pool: seeding } = await world.database(`curve_rows_${x}`);
    await seedMany(seeding, { name: 'rows', conversations: x, members: 2 });
    await seeding.query('vacuum analyze');
    world.say(`rows: ${x} conversations`);
    const { entrances } = await world.service(url, { paths: ['direct'], workers: 0 });
    const [direct] = entrances;
    if (direct === undefined) throw new Error('One API process is measured');
    const pool = makePool({ url, max: 2, name: 'curves' });
    world.later('pool', () => pool.end());
    const sweep = makeSweep(pool, SWEEP_AGES);
    const random = makeRandom(x);
    const pick = (): { id: string; user: number } => {
      const n = Math.floor((below(random, USED) * x) / USED);
      return { id: manyId('rows', n), user: 2 * n };
    };
    const postgres = { postgres: world.servers.pids.postgres ?? 0 };
    const common = { x, pids: direct.pids };
    jobs.push(
      {
        ...common,
        line: 'send, direct',
        run: () => {
          const { id, user } = pick();
          return direct.send(id, user);
        },
      },
      {
        ...common,
        line: 'conversations of a user',
        run: () => direct.get('/v1/conversations', pick().user),
      },
      {
        x,
        pids: postgres,
        line: "operator's list, 50",
        run: () => overviewConversations(pool, {}, pick().id, PAGE),
      },
      { x, pids: postgres, line: 'one sweep', run: () => sweep() },
      {
        x,
        pids: postgres,
        line: 'search for due timers',
        run: () => listDue(pool, Date.now(), 1000),
      },
    );
  }
  return {
    name: 'rows',
    title: 'Conversations in the database',
    xLabel: 'conversations',
    ...(await measureInTurns(jobs, world.turns)),
    notes: [
      `A database and an API process for each size, side by side. Messages go to ${USED} of the conversations, spread over all.`,
    ],
    explained: new Map(),
  };
}
