import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../../process/package-root.ts';
import type { BystanderInput, BystanderOrder, BystanderResult } from './bystander.ts';

/** Clients who have nothing to do with the attack: one that reads an epoch, and one that sends messages. */
export interface Bystanders {
  readonly start: () => void;
  /** Like `start`, but with more requests: after it, the service has compiled what it needs, and filled its pools and caches. */
  readonly startWarmUp: () => void;
  /** Waits for the answers to all that they sent. */
  readonly stop: () => Promise<BystanderResult>;
  readonly close: () => Promise<void>;
}

/** Starts their thread. @throws Error when it does not start */
export async function startBystanders(input: BystanderInput): Promise<Bystanders> {
  const thread = new Worker(path.join(packageRoot(), 'dist', 'tools', 'attack', 'bystander.js'), { workerData: input });
  await message(thread);
  const tell = (order: BystanderOrder): void => thread.postMessage(order);
  return {
    start: () => tell('start'),
    startWarmUp: () => tell('warm-up'),
    stop: () => {
      const result = message(thread) as Promise<BystanderResult>;
      tell('stop');
      return result;
    },
    close: async () => {
      await thread.terminate();
    },
  };
}

function message(thread: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    thread.once('message', (value) => {
      thread.off('error', reject);
      resolve(value);
    });
    thread.once('error', reject);
  });
}
