import type { ConversationPath } from '../../dispatch/executor.ts';
import { below, makeRandom } from '../load/random.ts';
import { describeMachine } from '../load/machine.ts';
import { startArena } from './arena/arena.ts';
import { type Bound, boundsOf, seconds } from './bounds.ts';
import type { Fault, Stage } from './fault.ts';
import type { Impact } from './impact.ts';
import { startLoad } from './load/load.ts';
import { watchPaths } from './paths.ts';
import { makeSchedule } from './schedule.ts';
import { startAudience } from './streams/audience.ts';
import { type Timeline, makeTimeline } from './timeline.ts';
import { runTrial } from './trial.ts';
import { type Verdict, judge } from './verdict/verdict.ts';

export interface ChaosOptions {
  readonly path: ConversationPath;
  readonly seed: number;
  readonly faults: readonly Fault[];
  /** Every fault happens once; with time left, again and again. */
  readonly minutes: number;
  /** Short faults and few conversations. */
  readonly isShort: boolean;
  readonly say: (line: string) => void;
  /** True: no further fault; what was acknowledged so far is counted. @default never */
  readonly isInterrupted?: () => boolean;
}

export interface ChaosReport {
  readonly seed: number;
  readonly path: ConversationPath;
  readonly machine: Readonly<Record<string, unknown>>;
  readonly startedAt: string;
  readonly seconds: number;
  readonly impacts: readonly (Impact & { readonly bounds: readonly Bound[] })[];
  /** Faults that this machine cannot have, with the reason. */
  readonly leftOut: readonly string[];
  readonly skipped: number;
  readonly reconnects: number;
  readonly verdict: Verdict;
  readonly timeline: Timeline;
  /** Empty = nothing was lost, doubled, reordered or miscounted, and everything recovered. */
  readonly problems: readonly string[];
}

const LONG = { conversations: 40, users: 6, perSecond: 70, streams: 8, deadlineMs: 10_000 };
const SHORT = { conversations: 16, users: 5, perSecond: 35, streams: 4, deadlineMs: 4000 };

/** Starts a service of its own, puts load on it, and has one fault after another. */
export async function runChaos({
  path,
  seed,
  faults,
  minutes,
  isShort,
  say,
  isInterrupted = () => false,
}: ChaosOptions): Promise<ChaosReport> {
  const size = isShort ? SHORT : LONG;
  const random = makeRandom(seed);
  const withSmallDisk = faults.some(({ name }) => name === 'disk-full');
  say(`seed ${seed}, path ${path}: starting Postgres, Temporal, two API processes and two workers`);
  const arena = await startArena({
    path,
    withSmallDisk,
    env: { REQUEST_DEADLINE_MS: String(size.deadlineMs) },
  });
  try {
    const reasons = faults.map((fault) => ({ fault, reason: fault.missing?.(arena) }));
    const leftOut = reasons.flatMap(({ fault, reason }) => (reason === undefined ? [] : [`${fault.name}: ${reason}`]));
    for (const line of leftOut) say(`LEFT OUT: ${line}`);
    const possible = reasons.flatMap(({ fault, reason }) => (reason === undefined ? [fault] : []));
    if (possible.length === 0) throw new Error('This machine can have none of these faults');

    const watch = watchPaths(arena);
    const startedAt = new Date().toISOString();
    const from = performance.now();
    let follow = (_conversation: string, _guest: string): void => undefined;
    const load = await startLoad({
      ...size,
      seed,
      urls: arena.balancer.urls,
      onGuest: (id, guest) => follow(id, guest),
    });
    const conversations = [...load.ledger.books.keys()];
    const audience = startAudience(load.people, { conversations, users: load.users, streams: size.streams });
    ({ follow } = audience);
    await load.probe();

    const stage: Stage = { arena, conversations, below: (limit) => below(random, limit) };
    const impacts: (Impact & { bounds: readonly Bound[] })[] = [];
    for (const trial of makeSchedule(seed, possible, isShort)) {
      const isOver = performance.now() - from > minutes * 60_000;
      if (isInterrupted() || (impacts.length >= possible.length && isOver)) break;
      const impact = await runTrial(stage, load, watch, trial);
      impacts.push({ ...impact, bounds: boundsOf(trial.fault, path, impact) });
      say(describe(impact));
    }
    watch.stop();
    await load.stop();
    const until = performance.now();
    say('counting everything again');
    const verdict = await judge(load, arena.pool, audience);
    audience.stop();
    return {
      ...{ seed, path, startedAt, impacts, leftOut, verdict },
      machine: describeMachine(),
      seconds: (until - from) / 1000,
      skipped: load.skipped(),
      reconnects: [...audience.conversations, ...audience.accounts].reduce((sum, one) => sum + one.reconnects(), 0),
      timeline: makeTimeline({ from, until, tries: load.tries.all, samples: watch.samples }),
      problems: [
        ...impacts.flatMap(({ fault, problems }) => problems.map((problem) => `${fault}: ${problem}`)),
        ...verdict.problems,
      ],
    };
  } finally {
    await arena.close();
  }
}

function describe({ fault, what, failed, gaps, healedAt, answeredAt, problems }: Impact): string {
  const count = Object.values(failed)
    .flatMap(Object.values<number>)
    .reduce((a, b) => a + b, 0);
  const recovery = seconds(answeredAt === undefined ? undefined : answeredAt - healedAt);
  const trouble = problems.length === 0 ? '' : ` PROBLEM ${problems.join('; ')}`;
  return `${fault} (${what}): ${count} tries failed, longest gap ${seconds(gaps.message)}, recovered after ${recovery}${trouble}`;
}
