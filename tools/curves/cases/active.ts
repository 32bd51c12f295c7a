import pLimit from 'p-limit';
import { residentMb } from '../../load/process-stats.ts';
import { below, makeRandom } from '../../load/random.ts';
import type { CurvePoint, Curve } from '../curve.ts';
import { type Job, measureInTurns } from '../in-turns.ts';
import { manyId, membersOf, seedMany } from '../../load/seed-many.ts';
import type { World } from '../world.ts';

const SIZES = [10, 100, 1000, 10_000];
const QUICK_SIZES = [10, 100, 500];
const CIRCLE = { name: 'active', each: 8, members: 8 };
/** First messages at the same time: each starts a workflow. */
const WARMING = 48;
const SENDERS = 16;

/** Cost against the conversations that have traffic: each is a workflow that runs in the worker's memory. */
export async function measureActive(world: World): Promise<Curve> {
  const sizes = world.quick ? QUICK_SIZES : SIZES;
  const circles = { ...CIRCLE, conversations: sizes.at(-1) ?? 0 };
  const { url, pool } = await world.database('curve_active');
  await seedMany(pool, circles);
  await pool.query('vacuum analyze');
  const { service, entrances } = await world.service(url, { paths: ['direct', 'workflow'], workers: 1 });
  const [direct, workflow] = entrances;
  if (direct === undefined || workflow === undefined) throw new Error('Both paths are measured');
  const errors: string[] = [];
  const memory: CurvePoint[] = [];
  const memoryBefore = residentMb(service.workers[0]?.pid ?? 0) ?? 0;
  let warm = 0;
  for (const size of sizes) {
    const cold = Array.from({ length: size - warm }, (_, i) => warm + i);
    await pLimit(WARMING).map(cold, async (n) => {
      await workflow.send(manyId(circles.name, n), membersOf(circles, n)[0] ?? 0).catch((error: unknown) => {
        errors.push(`first message at ${size}: ${String(error)}`);
      });
    });
    warm = size;
    const mb = residentMb(service.workers[0]?.pid ?? 0) ?? 0;
    memory.push({ x: size, y: ((mb - memoryBefore) * 1024) / size, parts: {} });
    world.say(`active: ${size} conversations, the worker has ${mb.toFixed(0)} MB`);
  }
  const jobs = sizes.flatMap((x): Job[] => {
    const random = makeRandom(x);
    const pick = (): { id: string; user: number } => {
      const n = below(random, x);
      return { id: manyId(circles.name, n), user: membersOf(circles, n)[below(random, circles.members)] ?? 0 };
    };
    return [direct, workflow].map((entrance, i) => ({
      line: `send, ${SENDERS} senders, ${i === 0 ? 'direct' : 'workflow'}`,
      x,
      pids: entrance.pids,
      senders: SENDERS,
      run: () => {
        const { id, user } = pick();
        return entrance.send(id, user);
      },
    }));
  });
  const measured = await measureInTurns(jobs, world.turns);
  return {
    name: 'active',
    title: 'Conversations with traffic',
    xLabel: 'active conversations',
    // The first ten conversations bring the worker to its working size.
    lines: [
      ...measured.lines,
      { name: 'worker memory for each conversation', measure: 'KB', points: memory.filter(({ x }) => x >= 100) },
    ],
    notes: ['One worker. Each message goes to a random conversation of those that had one before.'],
    explained: new Map([
      [
        `send, ${SENDERS} senders, workflow`,
        'Senders who meet in one conversation share an update: of 10 conversations many, of 10,000 none. That is the price of an update without company, and it stays the same from there on.',
      ],
      [
        `send, ${SENDERS} senders, direct`,
        'The same: messages of one conversation that wait together are one decision.',
      ],
    ]),
    errors: [...errors, ...measured.errors],
  };
}
