import { isUtf8 } from 'node:buffer';
import type { RequestHandler, Response } from 'express';
import { AppError } from '../../domain/errors.ts';
import { contextOf, ownerOf, whenOver } from './context.ts';
import { readBody, tooLarge } from './read-body.ts';
import { bytesMs, costOf, countItems } from './request-cost.ts';
import type { Route } from './route.ts';

const JSON_TYPE = /^application\/json *(?:; *charset *= *"?utf-8"? *)?$/i;

/**
 * Reads a JSON body of at most `limit` bytes into `req.body`; an empty body is `{}`. Its cost is counted before it is parsed:
 * its bytes, and then what is in it.
 * This is not `express.json()`, which also takes UTF-16 and UTF-32, removes a byte order mark, replaces bytes that are
 * not UTF-8, and knows no deadline.
 */
export function makeJsonBody(route: Route, limit: number): RequestHandler {
  const { perMb, perItem } = costOf(route);
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
    const bytes = await read(res, limit);
    const context = contextOf(res);
    context.meter?.charge(bytesMs(bytes.length, perMb));
    // The Idempotency-Key code compares these bytes with the body of an earlier request that has the same key.
    if (req.headers['idempotency-key'] !== undefined) context.rawBody = bytes;
    req.body = await parse(bytes);
    context.meter?.charge(countItems(req.body) * perItem, route.weigh?.(req.body));
    next();
  };
}

/** Reads the bytes of a body. They count for the caller until its request is answered, because its handler has them. */
async function read(res: Response, limit: number): Promise<Buffer> {
  const { deadline, transfers } = contextOf(res);
  try {
    return await readBody(res.req, {
      limit,
      deadline,
      begin: (cut) => {
        const transfer = transfers.begin(ownerOf(res), 'received', cut);
        contextOf(res).body = transfer;
        whenOver(res, transfer.end);
        return transfer;
      },
    });
  } catch (error) {
    // The client goes on sending, slowly or too much. After the answer, its connection has no further use.
    if (error instanceof AppError && error.status === 503) res.setHeader('Connection', 'close');
    throw error;
  }
}

/** Parses the bytes of a JSON body. @throws AppError `malformed` */
// It is async, because a large body may be parsed in another thread.
// eslint-disable-next-line @typescript-eslint/require-await
async function parse(bytes: Buffer): Promise<unknown> {
  if (bytes.length === 0) return {};
  if (!isUtf8(bytes)) throw new AppError('malformed', 'The body is not UTF-8');
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new AppError('malformed', 'The body is not JSON', {}, { cause: error });
  }
}
