import { createHash } from 'node:crypto';
import type { Request } from 'express';
import type { Logger } from 'pino';
import type pg from 'pg';
import { z } from 'zod';
import { AppError, PROBLEMS, type ProblemCode } from '../../domain/errors.ts';
import { type LeaseResult, acquireLease, releaseLease, rememberAnswer } from '../../store/request/idempotency.ts';
import type { Caller } from './caller.ts';
import type { Reply } from './reply.ts';

/** A key in quotes: a string as in RFC 8941 §3.3.3. */
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;
/** A key without quotes. */
const BARE = /^[\x21\x23-\x7e][\x20-\x7e]*$/;
const MAX_KEY_CHARACTERS = 255;
/**
 * After this time another request may take over the lease, because the process that holds it may have died. Two runs do no
 * harm, because both use the same operation ids. The time is shorter than the deadline of a request, so that a retry after
 * a crash is answered in time.
 */
const LEASE_MS = 4000;
const FIRST_POLL_MS = 20;
const MAX_POLL_MS = 250;

/** A stored answer: a refusal, that the request is to run again, or the reply of a success. */
const Answer = z.union([
  z.object({
    code: z.custom<ProblemCode>((code) => typeof code === 'string' && Object.hasOwn(PROBLEMS, code)),
    detail: z.string(),
    details: z.record(z.string(), z.unknown()),
  }),
  z.strictObject({ again: z.literal(true) }),
  z.strictObject({ body: z.unknown().optional(), headers: z.record(z.string(), z.string()).optional() }),
]);
type Answer = z.output<typeof Answer>;

/** An Idempotency-Key of one device on one path. */
export interface IdempotencyScope {
  readonly hash: Buffer;
  /** Id for the operation of the request. Every run of the request uses the same id. */
  readonly operationId: string;
  /** sha256 over the bytes of the body. */
  readonly request: Buffer;
}

/** The scope of the Idempotency-Key in a request; `undefined` = the request has none. @throws AppError `malformed` */
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

/** Runs a request once for its key. A second request with the key waits for the first, and gets the same answer. */
export type RunOnce = (scope: IdempotencyScope, deadline: number, run: () => Promise<Reply>) => Promise<Reply>;

/** Only 2xx and 422 are stored, because any other answer may be different the next time. */
export function makeRunOnce({ pool, log }: IdempotencyDeps): RunOnce {
  const quietly = (done: Promise<void>): Promise<void> =>
    done.catch((error: unknown) => log.warn({ err: error }, 'the lease of an Idempotency-Key was not ended'));

  return async (scope, deadline, run) => {
    const lease = await waitForLease(pool, scope, deadline);
    if (lease.state === 'other-request') throw new AppError('idempotency-key-reused');
    if (lease.state === 'answered') return replay(lease.status, Answer.parse(lease.answer), run);
    const keep = (status: number, answer: Answer): Promise<void> => rememberAnswer(pool, scope.hash, status, answer);
    try {
      const reply = await run();
      const { status, body, headers } = reply;
      const answer = reply.isRepeatable === true ? { again: true as const } : { body, headers };
      await quietly(reply.isFinal === false ? releaseLease(pool, scope.hash) : keep(status, answer));
      return reply;
    } catch (error) {
      if (error instanceof AppError && error.status === 422) {
        const { code, message: detail, details } = error;
        await quietly(keep(422, { code, detail, details }));
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
      throw new AppError('deadline', 'Another request with this Idempotency-Key is still running');
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

async function replay(status: number, answer: Answer, run: () => Promise<Reply>): Promise<Reply> {
  if ('code' in answer) throw new AppError(answer.code, answer.detail, answer.details);
  const reply = 'again' in answer ? await run() : { status, ...answer };
  return { ...reply, headers: { ...reply.headers, 'Idempotent-Replayed': 'true' } };
}
