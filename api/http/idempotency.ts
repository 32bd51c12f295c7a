import { createHash } from 'node:crypto';
import type { Request } from 'express';
import type { Logger } from 'pino';
import type pg from 'pg';
import { AppError, type ProblemCode, type ProblemDetails } from '../../domain/errors.ts';
import { type LeaseResult, acquireLease, releaseLease, rememberAnswer } from '../../store/request/idempotency.ts';
import type { Caller } from './bearer-tokens.ts';
import type { Reply } from './reply.ts';

/** Structured field string (RFC 8941 §3.3.3), or the bare key. */
const QUOTED = /^"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;
const BARE = /^[\x21\x23-\x7e][\x20-\x7e]*$/;
const MAX_KEY_CHARACTERS = 255;
/**
 * After this time the lease may be taken over: its process may have died. Running twice is harmless, because both runs use the
 * same operation ids; below the deadline, so that a retry after a crash is answered in time.
 */
const LEASE_MS = 4000;
const FIRST_POLL_MS = 20;
const MAX_POLL_MS = 250;

/** What is kept: a success as it was, or a refusal. */
type Answer =
  | { readonly body?: unknown; readonly headers?: Reply['headers'] }
  | { readonly code: ProblemCode; readonly detail: string; readonly details: ProblemDetails };

/** A key of one caller on one route. */
export interface IdempotencyScope {
  readonly hash: Buffer;
  /** Id for the operation of the request, whoever runs it. */
  readonly operationId: string;
  /** sha256 over the body as it came. */
  readonly request: Buffer;
}

/** The scope that a request's Idempotency-Key names; `undefined` = it has none. @throws AppError `malformed` */
export function idempotencyScope(
  req: Request,
  caller: Caller,
  rawBody: Buffer = Buffer.alloc(0),
): IdempotencyScope | undefined {
  const header = req.headers['idempotency-key'];
  if (header === undefined) return undefined;
  const key = parseKey(String(header));
  if (key === undefined) throw new AppError('malformed', 'Idempotency-Key is not 1 to 255 printable characters');
  const parts = [caller.user, caller.device, req.method, req.path, key];
  const hash = createHash('sha256').update(JSON.stringify(parts)).digest();
  const request = createHash('sha256').update(rawBody).digest();
  return { hash, operationId: `key-${hash.toString('hex')}`, request };
}

function parseKey(header: string): string | undefined {
  const quoted = QUOTED.exec(header)?.[1]?.replaceAll(/\\(["\\])/g, '$1');
  const key = quoted ?? (BARE.test(header) ? header : undefined);
  return key === undefined || key === '' || key.length > MAX_KEY_CHARACTERS ? undefined : key;
}

export interface IdempotencyDeps {
  readonly pool: pg.Pool;
  readonly log: Logger;
}

/** Runs a request once for its key; a second use waits for the first, and gets its answer. */
export type RunOnce = (scope: IdempotencyScope, deadline: number, run: () => Promise<Reply>) => Promise<Reply>;

/** Only 2xx and 422 are remembered: everything else may end otherwise next time. */
export function makeRunOnce({ pool, log }: IdempotencyDeps): RunOnce {
  const quietly = (done: Promise<void>): Promise<void> =>
    done.catch((error: unknown) => log.warn({ err: error }, 'idempotency key not settled'));

  return async (scope, deadline, run) => {
    const lease = await waitForLease(pool, scope, deadline);
    if (lease.state === 'other-request') throw new AppError('idempotency-key-reused');
    if (lease.state === 'answered') return replay(lease.status, lease.answer as Answer);
    try {
      const reply = await run();
      const { status, body, headers } = reply;
      await quietly(
        reply.isFinal === false
          ? releaseLease(pool, scope.hash)
          : rememberAnswer(pool, scope.hash, status, { body, headers }),
      );
      return reply;
    } catch (error) {
      if (error instanceof AppError && error.status === 422) {
        const { code, message: detail, details } = error;
        await quietly(rememberAnswer(pool, scope.hash, 422, { code, detail, details }));
      } else {
        await quietly(releaseLease(pool, scope.hash));
      }
      throw error;
    }
  };
}

async function waitForLease(pool: pg.Pool, scope: IdempotencyScope, deadline: number): Promise<LeaseResult> {
  for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 1.5, MAX_POLL_MS)) {
    const lease = await acquireLease(pool, scope.hash, scope.request, LEASE_MS);
    if (lease.state !== 'running') return lease;
    if (Date.now() + pauseMs >= deadline) {
      throw new AppError('deadline', 'Another request with this Idempotency-Key is still being served');
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

function replay(status: number, answer: Answer): Reply {
  if ('code' in answer) throw new AppError(answer.code, answer.detail, answer.details);
  return { status, ...answer, headers: { ...answer.headers, 'Idempotent-Replayed': 'true' } };
}
