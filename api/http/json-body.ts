import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';
import getRawBody from 'raw-body';
import type { Jobs } from '../../compute/jobs.ts';
import { valueOf } from '../../compute/json.ts';
import { AppError, ensureError } from '../../domain/errors.ts';
import { type RequestContext, contextOf } from './context.ts';

const JSON_TYPE = /^application\/json *(; *charset *= *"?utf-8"? *)?$/i;

/**
 * Reads a JSON body of at most `limit` bytes into `req.body`; an empty body is `{}`.
 * This is not `express.json()`, which also takes UTF-16 and UTF-32, removes a byte order mark, replaces bytes that are
 * not UTF-8, and knows no deadline.
 * A thread parses a large body. In its value, a `LongText` (`compute/json.ts`) stands for each long string.
 */
export function makeJsonBody(limit: number, jobs: Jobs): RequestHandler {
  return async function jsonBody(req, res, next) {
    const announced = Number(req.headers['content-length'] ?? 0);
    if (announced > limit) throw tooLarge(limit);
    const isEmpty = announced === 0 && req.headers['transfer-encoding'] === undefined;
    if (isEmpty) {
      req.body = {};
      next();
      return;
    }
    if (!JSON_TYPE.test(req.headers['content-type'] ?? '')) throw new AppError('unsupported-media-type');
    const { 'content-encoding': encoding = 'identity' } = req.headers;
    if (encoding !== 'identity') throw new AppError('unsupported-media-type', 'A compressed body is not accepted');
    const bytes = await readAll(req, limit, contextOf(res).deadline);
    // The Idempotency-Key code compares these bytes with the body of an earlier request that has the same key.
    const isKept = req.headers['idempotency-key'] !== undefined;
    if (isKept) contextOf(res).rawBody = bytes;
    req.body = await parse(jobs, isKept ? Buffer.from(bytes) : bytes, contextOf(res));
    next();
  };
}

/** @param bytes are gone afterwards, if a thread parsed them */
async function parse(jobs: Jobs, bytes: Buffer, { caller, deadline }: RequestContext): Promise<unknown> {
  if (bytes.length === 0) return {};
  return valueOf(await jobs.run('json', { user: caller?.user ?? '', deadline }, bytes));
}

/** @param deadline milliseconds since 1970 */
async function readAll(req: IncomingMessage, limit: number, deadline: number): Promise<Buffer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new AppError('deadline', 'The body did not arrive in time')),
      deadline - Date.now(),
    );
  });
  try {
    return await Promise.race([getRawBody(req, { limit }), late]);
  } catch (thrown) {
    if (thrown instanceof AppError) throw thrown;
    const error = ensureError(thrown);
    if ('type' in error && error.type === 'entity.too.large') throw tooLarge(limit);
    throw new AppError('malformed', 'The body was cut off', {}, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

function tooLarge(limit: number): AppError {
  return new AppError('too-large', `At most ${limit} bytes are accepted here`, { limit });
}
