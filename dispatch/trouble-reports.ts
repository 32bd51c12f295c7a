import type { Logger } from 'pino';
import type { TroubleSign } from '../domain/trouble.ts';
import type { TroubleReport } from '../store/trouble/troubles.ts';

/** One statement at most in this time. */
const EVERY_MS = 1000;
/** Reports that wait. More are dropped: a trouble that goes on is seen again. */
const MOST = 500;

/** A sign that this process saw. */
export type ReportTrouble = (conversation: string, sign: TroubleSign, details?: TroubleReport['details']) => void;

/** Collects the signs of trouble that this process sees, for the supervisor: one row for each conversation and sign. */
export interface TroubleReports {
  readonly report: ReportTrouble;
  readonly close: () => void;
}

/** @param store stores reports; while Postgres is away they are dropped */
export function makeTroubleReports(deps: {
  readonly store: (reports: readonly TroubleReport[]) => Promise<void>;
  readonly log: Logger;
  /** @default 1 second */
  readonly everyMs?: number;
}): TroubleReports {
  const { store, log, everyMs = EVERY_MS } = deps;
  let waiting = new Map<string, TroubleReport>();
  let isStoring = false;
  const flush = async (): Promise<void> => {
    if (waiting.size === 0 || isStoring) return;
    const reports = [...waiting.values()];
    waiting = new Map();
    isStoring = true;
    try {
      await store(reports);
    } catch (error) {
      log.debug({ err: error, reports: reports.length }, 'signs of trouble were not stored');
    } finally {
      isStoring = false;
    }
  };
  const timer = setInterval(() => void flush(), everyMs);
  return {
    report: (conversation, sign, details = {}) => {
      const key = `${sign} ${conversation}`;
      if (waiting.size < MOST || waiting.has(key)) waiting.set(key, { conversation, sign, details });
    },
    close: () => clearInterval(timer),
  };
}
