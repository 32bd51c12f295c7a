import type pg from 'pg';
import type { Logger } from 'pino';
import { TROUBLE_SIGNS, type TroubleSign } from '../../domain/trouble.ts';
import { type SeenProcess, listProcesses } from '../../store/process/processes.ts';
import { countTroubles } from '../../store/trouble/troubles.ts';

const LOOK_EVERY_MS = 5000;
/** Signs of trouble that are this young count as now; `status` also names those of the last minutes. */
export const TROUBLE_NOW_MS = 60_000;
/** A round in which many wedged conversations are verified takes so long. */
const LONG_ROUND_MS = 30_000;

/** A supervisor that is silent for longer is absent. It says itself how far its rounds are apart. */
export function absentAfterMs(intervalMs: unknown): number {
  return LONG_ROUND_MS + 3 * (typeof intervalMs === 'number' ? intervalMs : 5000);
}

/** What the supervisor says of itself. */
export interface SupervisorSeen {
  readonly running: boolean;
  /** Since its last sign; `undefined` = there is none. */
  readonly silentMs: number | undefined;
  readonly degraded: boolean;
}

/** @returns reads the last sign of the supervisor of this task queue */
export function makeSupervisorLook(pool: pg.Pool, taskQueue: string): () => Promise<SupervisorSeen> {
  return async () => {
    const processes = await listProcesses(pool);
    return seenIn(processes.find((one) => one.kind === 'supervisor' && one.taskQueue === taskQueue));
  };
}

function seenIn(sign: SeenProcess | undefined): SupervisorSeen {
  if (sign === undefined) return { running: false, silentMs: undefined, degraded: false };
  const { silentMs, facts } = sign;
  return {
    running: silentMs < absentAfterMs(facts.intervalMs),
    silentMs,
    degraded: facts.degraded === true,
  };
}

export interface SupervisorWatch {
  readonly look: () => Promise<SupervisorSeen>;
  /** For metrics, as of the last look. */
  readonly measure: () => {
    readonly silentSeconds: number;
    readonly isDegraded: boolean;
    readonly troubles: Readonly<Record<TroubleSign, number>>;
  };
  readonly close: () => void;
}

/** Notices when the supervisor is silent, and says so in the log and the metrics of this process. */
export function watchSupervisor(deps: {
  readonly pool: pg.Pool;
  readonly taskQueue: string;
  readonly log: Logger;
}): SupervisorWatch {
  const { pool, log } = deps;
  const read = makeSupervisorLook(pool, deps.taskQueue);
  /** When it signed last, by the clock of this process; at first: never, and this process has just begun to wait. */
  let signedAt = performance.now();
  let isDegraded = false;
  let isAbsent = false;
  let counts: ReadonlyMap<TroubleSign, number> = new Map();
  const silentMs = (): number => performance.now() - signedAt;

  const look = async (): Promise<SupervisorSeen> => {
    const seen = await read();
    if (seen.silentMs !== undefined) signedAt = performance.now() - seen.silentMs;
    isDegraded = seen.degraded;
    const isNowAbsent = !seen.running && silentMs() >= absentAfterMs(undefined);
    if (isNowAbsent && !isAbsent) log.error({ silentMs: Math.round(silentMs()) }, 'the supervisor is silent');
    if (!isNowAbsent && isAbsent) log.info('the supervisor works again');
    isAbsent = isNowAbsent;
    return seen;
  };
  const timer = setInterval(() => {
    Promise.all([look(), countTroubles(pool, TROUBLE_NOW_MS).then((found) => (counts = found))]).catch(
      (error: unknown) => log.debug({ err: error }, 'the supervisor was not looked for'),
    );
  }, LOOK_EVERY_MS);
  return {
    look,
    measure: () => ({ silentSeconds: silentMs() / 1000, isDegraded, troubles: bySign(counts) }),
    close: () => clearInterval(timer),
  };
}

/** All signs, also those that nobody shows now. */
function bySign(counts: ReadonlyMap<TroubleSign, number>): Record<TroubleSign, number> {
  return Object.fromEntries(TROUBLE_SIGNS.map((sign) => [sign, counts.get(sign) ?? 0])) as Record<TroubleSign, number>;
}
