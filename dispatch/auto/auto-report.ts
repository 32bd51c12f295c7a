import type { AutoPath } from './auto-path.ts';

/** What the path `auto` does in this process, for operators. */
export interface AutoReport {
  /** `normal`: nearly all batches take the workflow. `limited`: it has more than it carries in good time. `away`: it does not answer. */
  readonly state: 'normal' | 'limited' | 'away';
  /** Since when, RFC 3339. */
  readonly since: string;
  /** Updates that may be in flight. */
  readonly limit: number;
  readonly inFlight: number;
  /** Milliseconds of an update without load; absent = not measured yet. */
  readonly baselineMs?: number;
  /** Of the last ten seconds. */
  readonly updatesPerSecond: number;
  /** Part of the batches of the last ten seconds that took the workflow, from 0 to 1. */
  readonly share: number;
  readonly breaker: 'closed' | 'open' | 'half-open';
  readonly wedged: readonly { readonly conversation: string; readonly since: string; readonly locked: boolean }[];
}

/** Below this share the state is `limited`. */
const NORMAL_SHARE = 0.99;

/** @returns reads the state; call it now and then, so that `since` is right */
export function makeAutoReport(auto: AutoPath): () => AutoReport {
  let state: AutoReport['state'] = 'normal';
  let since = new Date();
  const { breaker, budget, wedged, recent } = auto;
  const timeOf = (at: number): string => new Date(Date.now() - (auto.now() - at)).toISOString();
  return () => {
    const { updatesPerSecond, share } = recent.get();
    const now = breaker.isOpen ? 'away' : share < NORMAL_SHARE ? 'limited' : 'normal';
    if (now !== state) {
      state = now;
      since = new Date();
    }
    return {
      state,
      since: since.toISOString(),
      limit: budget.limit,
      inFlight: budget.inFlight,
      ...(budget.baselineMs === undefined ? {} : { baselineMs: Math.round(budget.baselineMs) }),
      updatesPerSecond: Math.round(updatesPerSecond * 10) / 10,
      share: Math.round(share * 1000) / 1000,
      breaker: breaker.state,
      wedged: wedged.list().map(({ conversation, since: at, isLocked }) => ({
        conversation,
        since: timeOf(at),
        locked: isLocked,
      })),
    };
  };
}
