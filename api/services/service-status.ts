import type pg from 'pg';
import type { RunningWorkflows } from '../../dispatch/running-workflows.ts';
import { TROUBLE_WITHIN_MS } from '../../store/conversation/overview.ts';
import { type DatabaseState, readDatabaseState } from '../../store/process/database-state.ts';
import { type Drain, readDrain } from '../../store/process/drain.ts';
import { type SeenProcess, listProcesses } from '../../store/process/processes.ts';
import { latestRun } from '../../store/consistency/runs.ts';
import { type Trouble, listTroubles } from '../../store/trouble/troubles.ts';
import type { ProcessFacts } from './process-facts.ts';
import { absentAfterMs } from './supervisor-watch.ts';

/** A process with a judgement of its silence. */
export interface KnownProcess extends SeenProcess {
  readonly state: 'live' | 'silent' | 'gone';
}

/** What is known of the whole service. What a part that is away would have said is absent. */
export interface ServiceFacts {
  readonly processes: readonly KnownProcess[];
  readonly database: DatabaseState | undefined;
  readonly temporal:
    | {
        readonly pollers: readonly { readonly identity: string; readonly silentMs: number }[];
        readonly running: number;
        readonly failed: number;
      }
    | undefined;
  readonly drain: Drain | undefined;
  readonly troubles: readonly Trouble[];
  readonly moreTroubles: boolean;
  /** Findings of the last consistency audit that ended; absent = there was none. */
  readonly inconsistencies?: number | undefined;
  readonly queue: {
    readonly depth: number;
    readonly oldestWaitMs: number;
    readonly activeConversations: number;
    readonly openStreams: number;
    readonly diversions: Readonly<Record<string, number>>;
  };
}

/** Each part has this time to answer: a status is wanted most when one of them does not. */
const PART_MS = 1500;
/** A process writes every second; a busy one a little later. */
const SILENT_MS = 5000;
/** A silent process that does not come back was replaced: nobody needs to look at it any more. */
const GONE_MS = 5 * 60_000;
/** Signs of trouble in one status. */
const TROUBLES = 20;

/** Reads what is known of the whole service, from all parts at once. It ends soon, whatever part is away. */
export function makeServiceFacts(deps: {
  readonly pool: pg.Pool;
  readonly running: RunningWorkflows;
  readonly ownFacts: () => ProcessFacts;
}): () => Promise<ServiceFacts> {
  const { pool, running, ownFacts } = deps;
  return async () => {
    const deadline = Date.now() + PART_MS;
    const [processes = [], database, drain, troubles = [], audited, pollers, counts] = await Promise.all([
      within(listProcesses(pool)),
      within(readDatabaseState(pool)),
      within(readDrain(pool)),
      within(listTroubles(pool, { withinMs: TROUBLE_WITHIN_MS, limit: TROUBLES + 1 })),
      within(latestRun(pool, 'finished')),
      within(running.pollers(deadline)),
      within(running.count(deadline)),
    ]);
    const known = processes.map((process) => ({ ...process, state: stateOf(process) }));
    return {
      processes: known,
      database,
      drain,
      temporal: pollers === undefined || counts === undefined ? undefined : { pollers, ...counts },
      troubles: troubles.slice(0, TROUBLES),
      moreTroubles: troubles.length > TROUBLES,
      inconsistencies: audited?.found,
      queue: sum(known, ownFacts()),
    };
  };
}

function stateOf({ kind, silentMs, facts }: SeenProcess): KnownProcess['state'] {
  if (silentMs < (kind === 'supervisor' ? absentAfterMs(facts.intervalMs) : SILENT_MS)) return 'live';
  return silentMs < GONE_MS ? 'silent' : 'gone';
}

/** @returns `undefined` when it failed or took too long: the part is away */
async function within<T>(answer: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), PART_MS);
  });
  try {
    return await Promise.race([answer, limit]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Sums over the API processes that live. A process without a row knows at least its own numbers. */
function sum(processes: readonly KnownProcess[], own: ProcessFacts): ServiceFacts['queue'] {
  const live = processes.filter(({ kind, state }) => kind === 'api' && state === 'live').map(({ facts }) => facts);
  const all: readonly Readonly<Record<string, unknown>>[] = live.length === 0 ? [own] : live;
  const total = (name: keyof ProcessFacts & string): number =>
    all.reduce((so, facts) => so + count(new Map(Object.entries(facts)).get(name)), 0);
  const diversions = new Map<string, number>();
  for (const facts of all) {
    for (const [reason, times] of Object.entries(facts.diversions ?? {})) {
      diversions.set(reason, (diversions.get(reason) ?? 0) + count(times));
    }
  }
  return {
    depth: total('queueDepth'),
    oldestWaitMs: Math.max(0, ...all.map((facts) => count(facts.oldestWaitMs))),
    activeConversations: total('activeConversations'),
    openStreams: total('openStreams'),
    diversions: Object.fromEntries(diversions),
  };
}

/** A count that another process wrote, perhaps of another release. */
function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? Math.max(0, Math.round(value)) : 0;
}
