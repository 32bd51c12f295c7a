import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { MAX_SIGNAL_WAIT_MS, MAX_UNSENT_SIGNALS, SIGNAL_BYTES_PER_SECOND } from '../../domain/limits.ts';
import type { Refused } from '../../domain/outcome.ts';
import type { Metrics } from '../../process/metrics.ts';
import { type OutgoingSignal, publishSignals } from '../../store/signal/signals.ts';
import { refusalError } from './operations.ts';

/** Pause after a statement. Signals of this time go together with the next one. */
const GATHER_MS = 3;
/** Bytes of one statement; it has at least one signal. */
const MAX_STATEMENT_BYTES = 64 * 1024;

/**
 * Sends a signal to the open streams of its conversation, in all processes. It is done when it was sent; nobody knows whether it arrived.
 * @throws AppError like the decision about a message (`not-found`, `removed`, `superseded`, `not-allowed`); `overloaded` where a
 * signal would have to wait
 */
export type SendSignal = (signal: OutgoingSignal) => Promise<void>;

interface Waiting {
  readonly signal: OutgoingSignal;
  readonly since: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends the signals of this process: one statement at a time, so that they take one connection at most, and so many bytes in a
 * second. What does not fit is refused. Nothing else ever waits for a signal.
 */
export function makeSendSignal({
  pool,
  metrics,
  now = (): number => performance.now(),
}: {
  readonly pool: pg.Pool;
  readonly metrics: Pick<Metrics, 'signalsSent'>;
  readonly now?: () => number;
}): SendSignal {
  let waiting: Waiting[] = [];
  let isSending = false;

  /** The next signals of a statement, without those that have waited too long. */
  const next = (): { readonly batch: readonly Waiting[]; readonly bytes: number } => {
    const late = now() - MAX_SIGNAL_WAIT_MS;
    const batch: Waiting[] = [];
    let bytes = 0;
    let taken = 0;
    for (const one of waiting) {
      const size = one.signal.data.length;
      if (batch.length > 0 && bytes + size > MAX_STATEMENT_BYTES) break;
      taken++;
      if (one.since < late) {
        one.reject(overloaded());
        continue;
      }
      batch.push(one);
      bytes += size;
    }
    waiting = waiting.slice(taken);
    return { batch, bytes };
  };
  const send = async (batch: readonly Waiting[]): Promise<void> => {
    let refusals: readonly (Refused | undefined)[];
    try {
      refusals = await publishSignals(
        pool,
        batch.map(({ signal }) => signal),
      );
    } catch (error) {
      for (const { reject } of batch) reject(error);
      return;
    }
    metrics.signalsSent(refusals.filter((refusal) => refusal === undefined).length);
    for (const [i, { resolve, reject }] of batch.entries()) {
      const refusal = refusals[i];
      if (refusal === undefined) resolve();
      else reject(refusalError(refusal));
    }
  };
  const sendAll = async (): Promise<void> => {
    while (waiting.length > 0) {
      const { batch, bytes } = next();
      if (batch.length > 0) await send(batch);
      const pauseMs = Math.max(GATHER_MS, (bytes / SIGNAL_BYTES_PER_SECOND) * 1000);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    isSending = false;
  };
  return (signal) =>
    new Promise((resolve, reject) => {
      if (waiting.length >= MAX_UNSENT_SIGNALS) {
        reject(overloaded());
        return;
      }
      waiting.push({ signal, since: now(), resolve, reject });
      if (isSending) return;
      isSending = true;
      void sendAll();
    });
}

function overloaded(): AppError {
  return new AppError('overloaded', 'Too many signals wait already');
}
