import pLimit from 'p-limit';
import { describe, sleep } from '../../load/closed-loop.ts';
import { type EventReader, messageIdOf, openEventReader } from '../../load/event-reader.ts';
import { makeLatencyRecorder } from '../../load/histogram.ts';
import { messagesPath, makeMessageBodies } from '../../load/messages.ts';
import { openFileLimit } from '../../load/open-files.ts';
import { type CpuTimes, cpuBetween, cpuTimes, residentMbs } from '../../load/process-stats.ts';
import type { Curve, CurveLine, CurvePoint } from '../curve.ts';
import { type Circles, manyId, membersOf, seedMany } from '../../load/seed-many.ts';
import type { World } from '../world.ts';

const SIZES = [100, 1000, 3000, 10_000];
const QUICK_SIZES = [100, 1000];
const OPENING = 32;
const CIRCLE = { name: 'streams', each: 5, members: 20 };
/** Time for what follows an opening: catching up, and the first polls. */
const SETTLE_MS = 3000;
const LEAST_HOLD_MS = 2000;
const MESSAGES = 200;
const ARRIVE_MS = 10_000;
const PAUSE_MS = 15;
/** Open files of a process beside its streams. */
const OTHER_FILES = 300;

/** Cost against open streams over two API processes: opening, holding, delivering. */
export async function measureStreams(world: World): Promise<Curve> {
  const sizes = world.quick ? QUICK_SIZES : SIZES;
  const most = sizes.at(-1) ?? 0;
  if (openFileLimit() < most + OTHER_FILES) throw new Error(`${most} streams need more open files (ulimit -n)`);
  const users = Math.ceil(most / CIRCLE.members) * CIRCLE.members;
  const circles: Circles = { ...CIRCLE, conversations: (users / CIRCLE.members) * CIRCLE.each };
  const { url, pool } = await world.database('curve_streams');
  await seedMany(pool, circles);
  await pool.query('vacuum analyze');
  const { entrances } = await world.service(url, { paths: ['direct', 'direct'], workers: 0 });
  const pids = {
    ...Object.fromEntries(entrances.map((entrance, i) => [`api ${i + 1}`, entrance.pids.api ?? 0])),
    postgres: world.servers.pids.postgres ?? 0,
  };
  const holdMs = Math.max(LEAST_HOLD_MS, world.turns.sliceMs * world.turns.rounds);
  const points: Record<'open' | 'memory' | 'hold' | 'send' | 'arrival', CurvePoint[]> = {
    open: [],
    memory: [],
    hold: [],
    send: [],
    arrival: [],
  };
  const errors: string[] = [];
  const readers: EventReader[] = [];
  const sent = new Map<string, { readonly at: number; left: number }>();
  let lag = makeLatencyRecorder();
  let ended = 0;
  let run = 0;
  world.later('streams', () => {
    for (const reader of readers) reader.close();
  });

  const open = async (from: number, to: number): Promise<void> => {
    const numbers = Array.from({ length: to - from }, (_, i) => from + i);
    await pLimit(OPENING).map(numbers, async (user) => {
      // Neighbours are in the same conversations, so every message goes through both processes.
      const entrance = entrances[user % entrances.length];
      if (entrance === undefined) return;
      const reader = await openEventReader(`${entrance.url}/v1/events`, await entrance.token(user), (text) => {
        const message = sent.get(messageIdOf(text) ?? '');
        if (message === undefined) return;
        message.left--;
        lag.record(performance.now() - message.at);
      });
      void reader.ended.then(() => ended++);
      readers.push(reader);
    });
  };
  /** Sends messages to conversations all over, and waits until each stream has them. */
  const deliver = async (streams: number): Promise<{ readonly used: CpuTimes; readonly seconds: number }> => {
    lag = makeLatencyRecorder();
    sent.clear();
    run++;
    const makeBody = makeMessageBodies();
    const before = cpuTimes(pids);
    const startedAt = performance.now();
    for (let i = 0; i < MESSAGES; i++) {
      const user = Math.floor((i * streams) / MESSAGES);
      const conversation = Math.floor(user / circles.members) * CIRCLE.each + (i % CIRCLE.each);
      const id = `${run}-${i}`;
      const left = membersOf(circles, conversation).filter((member) => member < streams).length;
      sent.set(id, { at: performance.now(), left });
      const path = messagesPath(manyId(circles.name, conversation));
      await entrances[user % entrances.length]?.post(path, user, JSON.parse(makeBody(id)));
      await sleep(PAUSE_MS);
    }
    const isMissing = (): boolean => [...sent.values()].some(({ left }) => left !== 0);
    for (let waited = 0; waited < ARRIVE_MS && isMissing(); waited += PAUSE_MS) await sleep(PAUSE_MS);
    if (isMissing()) errors.push(`${streams} streams: a message did not arrive exactly once at each`);
    return { used: cpuBetween(before, cpuTimes(pids)), seconds: (performance.now() - startedAt) / 1000 };
  };

  // Brings the processes to their working size.
  await open(0, sizes[0] ?? 0);
  await deliver(sizes[0] ?? 0);
  const total = (used: CpuTimes): number => Object.values(used).reduce((sum, one) => sum + one, 0);
  const memoryOf = (): number => total(residentMbs(Object.fromEntries(Object.entries(pids).slice(0, 2))));
  const memoryBefore = memoryOf();
  let streams = sizes[0] ?? 0;
  for (const x of sizes) {
    const opened = x - streams;
    const before = cpuTimes(pids);
    await open(streams, x);
    streams = x;
    await sleep(SETTLE_MS);
    const opening = cpuBetween(before, cpuTimes(pids));
    if (opened > 0) {
      points.open.push({ x, y: total(opening) / opened, parts: shared(opening, opened) });
      points.memory.push({ x, y: ((memoryOf() - memoryBefore) * 1024) / (x - (sizes[0] ?? 0)), parts: {} });
    }
    const idle = cpuTimes(pids);
    await sleep(holdMs);
    const held = cpuBetween(idle, cpuTimes(pids));
    const seconds = holdMs / 1000;
    points.hold.push({ x, y: total(held) / seconds / (x / 1000), parts: shared(held, (seconds * x) / 1000) });
    try {
      const delivering = await deliver(x);
      // Without what holding the streams costs in the same time.
      const holding = (total(held) / seconds) * delivering.seconds;
      points.send.push({ x, y: Math.max(0, total(delivering.used) - holding) / MESSAGES, parts: {} });
    } catch (error) {
      errors.push(`${x} streams: ${describe(error)}`);
    }
    points.arrival.push({ x, y: lag.summary().p95, parts: {} });
    world.say(`streams: ${x} open, arrival p95 ${lag.summary().p95.toFixed(1)} ms`);
  }
  if (ended > 0) errors.push(`${ended} streams ended`);
  const first = points.arrival[0]?.y ?? 1;
  const lines: CurveLine[] = [
    { name: 'open one stream', measure: 'CPU ms', points: points.open },
    { name: 'hold 1000 streams for a second', measure: 'CPU ms', points: points.hold },
    { name: 'one message to 20 streams, without holding', measure: 'CPU ms', points: points.send },
    {
      name: 'arrival at a stream (p95)',
      measure: 'latency, first = 1',
      points: points.arrival.map(({ x, y }) => ({ x, y: y / first, parts: {} })),
    },
    { name: 'API memory for each stream', measure: 'KB', points: points.memory },
  ];
  return {
    name: 'streams',
    title: 'Open streams of two API processes',
    xLabel: 'open streams',
    lines,
    notes: [
      'Account streams, half on each process; each follows 5 conversations with 20 members. Levels follow one another, since streams stay open.',
    ],
    explained: new Map(),
    errors,
  };
}

function shared(used: CpuTimes, count: number): CpuTimes {
  return Object.fromEntries(Object.entries(used).map(([name, ms]) => [name, ms / count]));
}
