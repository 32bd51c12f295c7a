import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';
import { AppError } from '../../domain/errors.ts';
import { contextOf } from './context.ts';

const JSON_TYPE = /^application\/json *(; *charset *= *"?utf-8"? *)?$/i;

/** Reads a JSON body of at most `limit` bytes into `req.body`; an empty one is `{}`. */
export function makeJsonBody(limit: number): RequestHandler {
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
    // Compared with that of an earlier request with the same key.
    if (req.headers['idempotency-key'] !== undefined) contextOf(res).rawBody = bytes;
    req.body = parse(bytes);
    next();
  };
}

function parse(bytes: Buffer): unknown {
  if (bytes.length === 0) return {};
  if (!isUtf8(bytes)) throw new AppError('malformed', 'The body is not UTF-8');
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new AppError('malformed', 'The body is not JSON', {}, { cause: error });
  }
}

function readAll(req: IncomingMessage, limit: number, deadline: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(
      () => end(new AppError('deadline', 'The body did not arrive in time')),
      deadline - Date.now(),
    );
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > limit) end(tooLarge(limit));
      else chunks.push(chunk);
    };
    const onEnd = (): void => end();
    const onGone = (): void => end(new AppError('malformed', 'The body was cut off'));
    const end = (error?: AppError): void => {
      clearTimeout(timer);
      req.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
      if (error === undefined)
        resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
      else reject(error);
    };
    req.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
  });
}

function tooLarge(limit: number): AppError {
  return new AppError('too-large', `At most ${limit} bytes are accepted here`, { limit });
}
