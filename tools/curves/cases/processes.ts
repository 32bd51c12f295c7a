import { below, makeRandom } from '../../load/random.ts';
import type { Curve } from '../curve.ts';
import type { Entrance } from '../entrance.ts';
import { type Job, measureInTurns } from '../in-turns.ts';
import { manyId, membersOf, seedMany } from '../../load/seed-many.ts';
import type { World } from '../world.ts';

const COUNTS = [1, 2, 4];
const CIRCLES = { name: 'processes', conversations: 200, each: 8, members: 8 };
const SENDERS = 32;

/** Cost against the processes of one kind: workers on the workflow path, API processes on the direct path. */
export async function measureProcesses(world: World): Promise<Curve> {
  const jobs: Job[] = [];
  for (const x of COUNTS) {
    const { url, pool } = await world.database(`curve_processes_${x}`);
    await seedMany(pool, CIRCLES);
    await pool.query('vacuum analyze');
    const behindWorkers = await world.service(url, { paths: ['workflow'], workers: x });
    jobs.push(spread(x, 'send, by workers (workflow path)', behindWorkers.entrances));
    const apis = await world.service(url, { paths: Array.from({ length: x }, () => 'direct' as const), workers: 0 });
    jobs.push(spread(x, 'send, by API processes (direct path)', apis.entrances));
    world.say(`processes: ${x} workers, ${x} API processes`);
  }
  return {
    name: 'processes',
    title: 'Workers and API processes',
    xLabel: 'processes of this kind',
    ...(await measureInTurns(jobs, world.turns)),
    notes: [
      `${SENDERS} senders over ${CIRCLES.conversations} conversations. All of them share two cores with Postgres, Temporal and the load generator, so this shows what a further process costs: whether each message becomes dearer. It cannot show how much faster more machines are.`,
    ],
    explained: new Map([
      [
        'send, by workers (workflow path)',
        'On two cores, four workers take the time of each other: caches are colder, and each polls.',
      ],
    ]),
  };
}

function spread(x: number, line: string, entrances: readonly Entrance[]): Job {
  const random = makeRandom(x);
  const pids = Object.fromEntries(
    entrances.flatMap((entrance, i) =>
      Object.entries(entrance.pids).map(([name, pid]) => [name === 'api' ? `api ${i + 1}` : name, pid]),
    ),
  );
  let turn = 0;
  return {
    line,
    x,
    pids,
    senders: SENDERS,
    run: async () => {
      const n = below(random, CIRCLES.conversations);
      const user = membersOf(CIRCLES, n)[below(random, CIRCLES.members)] ?? 0;
      await entrances[turn++ % entrances.length]?.send(manyId(CIRCLES.name, n), user);
    },
  };
}
