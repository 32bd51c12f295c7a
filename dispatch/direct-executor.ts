import type { Logger } from 'pino';
import type pg from 'pg';
import { AppError } from '../domain/errors.ts';
import type { InlineBytes, Operation } from '../domain/operation.ts';
import { decide } from '../store/decision/decide.ts';
import type { Notifier } from '../store/log/notifications.ts';
import { isRetryable } from '../store/sqlstate.ts';
import type { BatchItem, Path } from './executor.ts';
import { jitter, pause } from './pause.ts';

export interface DirectPathDeps {
  readonly pool: pg.Pool;
  readonly notifier: Notifier;
  readonly log: Logger;
  readonly onRetry: (reason: string) => void;
}

/** Hands a batch to the deciding transaction in this process, without Temporal; bytes travel inline. */
export function makeDirectPath(deps: DirectPathDeps): Path {
  return async ({ conversation, items, deadline, requests }) => {
    const { operations, bytes } = inline(items);
    for (let retries = 0; ; retries++) {
      try {
        const { facts, outcomes } = await decide(deps.pool, conversation, operations, bytes);
        if (facts.found) deps.notifier.entry(conversation, facts.lastSeq, facts.changed);
        return { outcomes, retries };
      } catch (error) {
        if (!isRetryable(error)) {
          deps.log.error({ err: error, conversation, requests }, 'deciding failed');
          throw new AppError('internal', undefined, {}, { cause: error });
        }
        deps.onRetry('postgres');
        if (Date.now() >= deadline) throw new AppError('unavailable', 'Postgres is away', {}, { cause: error });
        await pause(jitter(50, 300), deadline);
      }
    }
  };
}

/** Operations with their bytes as positions in one array. */
function inline(items: readonly BatchItem[]): { operations: Operation[]; bytes: Uint8Array[] } {
  const bytes: Uint8Array[] = [];
  const add = (value: Uint8Array | undefined): number | undefined =>
    value === undefined ? undefined : bytes.push(value);
  const operations = items.map(({ operation, bytes: own }) => {
    if (own === undefined || 'body' in operation) return operation;
    const positions = {
      ciphertext: add(own.ciphertext),
      welcome: add(own.welcome),
      groupInfo: add(own.groupInfo),
    };
    // Absent parts vanish in JSON.
    return { ...operation, bytes: positions as InlineBytes };
  });
  return { operations, bytes };
}
