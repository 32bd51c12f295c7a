import { pino } from 'pino';
import { vi } from 'vitest';
import { AutoPath } from '../../../../dispatch/auto/auto-path.ts';
import { type TemporalWatch, watchTemporal } from '../../../../dispatch/auto/temporal-watch.ts';
import { type Dispatcher, makeDispatcher } from '../../../../dispatch/dispatcher.ts';
import type { Applied, Batch, ConversationPath, ExecutionPath } from '../../../../dispatch/executor.ts';
import type { Command } from '../../../../domain/command.ts';
import type { Outcome } from '../../../../domain/outcome.ts';
import { type StagedCommand, isStaged } from '../../../../domain/staged-command.ts';
import { makeMetrics } from '../../../../process/metrics.ts';

/** A batch as an executor got it. */
export interface Handed {
  readonly path: ExecutionPath;
  readonly conversation: string;
  readonly ids: readonly string[];
  readonly staged: readonly boolean[];
  readonly at: number;
}

/** How the fakes behave; tests change it at any time. */
export interface Ways {
  setting: ConversationPath;
  /** Milliseconds of an update; Infinity = no answer. */
  updateMs: number | ((conversation: string) => number);
  directMs: number;
  /** An update fails at once with this. */
  failure: Error | undefined;
  /** Answers of probes. */
  temporalIsUp: boolean;
  locked: ReadonlySet<string>;
  postgresIsUp: boolean;
  /** Outcomes of the direct way for commands with a staged row. */
  ofStaged: (id: string) => Outcome;
}

export interface FakeService {
  readonly ways: Ways;
  readonly auto: AutoPath;
  readonly watch: TemporalWatch;
  readonly dispatcher: Dispatcher;
  readonly handed: Handed[];
  /** Ids of the commands of each way, in their order. */
  readonly idsBy: (path: ExecutionPath) => string[];
  /** Staged rows that nobody decided. */
  readonly rows: Set<number>;
  readonly diversions: () => Promise<Readonly<Record<string, number>>>;
  readonly close: () => void;
}

/** The real queues, controller and breaker over fake executors and a fake table of staged rows. Wants fake timers. */
export function startFakeService(): FakeService {
  const ways: Ways = {
    setting: 'auto',
    updateMs: 10,
    directMs: 2,
    failure: undefined,
    temporalIsUp: true,
    locked: new Set(),
    postgresIsUp: true,
    ofStaged: () => ACCEPTED,
  };
  const handed: Handed[] = [];
  const rows = new Set<number>();
  let keys = 0;
  const note = (path: ExecutionPath, { conversation, commands }: Batch<Command | StagedCommand>): void => {
    const ids = commands.map(({ id }) => id);
    handed.push({ path, conversation, ids, staged: commands.map(isStaged), at: Date.now() });
  };
  const decide = (commands: readonly (Command | StagedCommand)[]): Outcome[] =>
    commands.map((command) => {
      if (!('body' in command)) return ACCEPTED;
      if (!rows.delete(command.body)) return { status: 'refused', code: 'body-missing' };
      return ways.ofStaged(command.id);
    });
  const metrics = makeMetrics({ collectDefaults: false });
  const log = pino({ level: 'silent' });
  const auto = new AutoPath();
  const dispatcher = makeDispatcher({
    pathOf: () => ways.setting,
    auto,
    executors: {
      workflow: async (batch): Promise<Applied> => {
        note('workflow', batch);
        if (ways.failure !== undefined) throw ways.failure;
        const ms = typeof ways.updateMs === 'number' ? ways.updateMs : ways.updateMs(batch.conversation);
        await after(ms);
        return { outcomes: decide(batch.commands), retries: 0 };
      },
      direct: async (batch): Promise<Applied> => {
        note('direct', batch);
        await after(ways.directMs);
        return { outcomes: decide(batch.commands), retries: 0 };
      },
    },
    stager: {
      stage: () => {
        rows.add(++keys);
        return Promise.resolve(keys);
      },
      discard: (discarded) => {
        for (const key of discarded) rows.delete(key);
        return Promise.resolve();
      },
    },
    metrics,
    log,
    mailboxLimit: 10_000,
  });
  const watch = watchTemporal({
    auto,
    probe: async () => {
      if (!ways.temporalIsUp) await after(1000);
      return ways.temporalIsUp;
    },
    locked: () => (ways.postgresIsUp ? Promise.resolve(ways.locked) : Promise.reject(new Error('Postgres is away'))),
    loopDelayMs: () => 0,
    look: dispatcher.look,
    log,
  });
  return {
    ways,
    auto,
    watch,
    dispatcher,
    handed,
    rows,
    idsBy: (path) => handed.filter((one) => one.path === path).flatMap(({ ids }) => ids),
    diversions: async () => {
      const metric = await metrics.registry.getSingleMetric('parley_diversions_total')?.get();
      return Object.fromEntries((metric?.values ?? []).map(({ labels, value }) => [String(labels.reason), value]));
    },
    close: watch.close,
  };
}

/** An answer for commands of every kind. */
const ACCEPTED = { status: 'accepted', seq: 1, epoch: 0, unread: 0 } as const;

function after(ms: number): Promise<void> {
  if (ms === Infinity) return new Promise(() => undefined);
  // eslint-disable-next-line no-restricted-syntax -- fake timers
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Lets time pass. */
export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}
