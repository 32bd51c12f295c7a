import { parentPort } from 'node:worker_threads';
import { JOBS, type JobName, MOVES_BYTES } from './jobs.ts';
import { type Packed, type PackedError, pack, packError, unpack } from './wire.ts';

// The code of a thread: it runs one job after the other. The pool (pool.ts) never sends a second one before the answer.

/** A job for a thread. */
export interface JobMessage {
  readonly name: JobName;
  readonly input: Packed;
}

/** What a thread sends: `ready` once, then one answer for each job. */
export type ThreadMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly output: Packed }
  | { readonly kind: 'failed'; readonly error: PackedError };

const port = parentPort;
if (port !== null) {
  port.on('message', (message: JobMessage) => void answer(message));
  port.postMessage({ kind: 'ready' } satisfies ThreadMessage);
}

async function answer({ name, input }: JobMessage): Promise<void> {
  try {
    const run = JOBS[name] as (...args: readonly unknown[]) => unknown;
    const result = await run(...(unpack(input) as readonly unknown[]));
    const { message: output, transfer } = pack(result, MOVES_BYTES.has(name));
    port?.postMessage({ kind: 'done', output } satisfies ThreadMessage, transfer);
  } catch (thrown) {
    port?.postMessage({ kind: 'failed', error: packError(thrown) } satisfies ThreadMessage);
  }
}
