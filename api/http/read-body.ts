import type { IncomingMessage } from 'node:http';
import { AppError } from '../../domain/errors.ts';
import type { CutReason, Transfer } from './transfers.ts';

export interface ReadBody {
  /** Bytes. */
  readonly limit: number;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  /** Counts the bytes. It is called with what to do when they are cut. */
  readonly begin: (cut: (reason: CutReason) => void) => Transfer;
}

/**
 * Reads a whole body. When it fails, its bytes are freed at once, and the rest of the body is dropped as it arrives.
 * @throws AppError `too-large`, `deadline`, `malformed` (the client went away), `overloaded` (it was the slowest of too many)
 */
export function readBody(req: IncomingMessage, { limit, deadline, begin }: ReadBody): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let length = 0;
    const stop = (): void => {
      clearTimeout(timer);
      req.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onBroken);
    };
    const fail = (error: AppError): void => {
      stop();
      chunks = [];
      transfer.end();
      // Without a reader the connection could not even be closed.
      req.on('error', () => undefined).resume();
      reject(error);
    };
    const transfer = begin((reason) => fail(cutOff(reason)));
    const onData = (chunk: Buffer): void => {
      length += chunk.length;
      if (length > limit) return fail(tooLarge(limit));
      chunks.push(chunk);
      transfer.moved(chunk.length);
      transfer.hold(chunk.length);
    };
    const onEnd = (): void => {
      stop();
      transfer.arrived();
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length));
    };
    const onBroken = (): void => fail(new AppError('malformed', 'The body was cut off'));
    const timer = setTimeout(
      () => fail(new AppError('deadline', 'The body did not arrive in time')),
      Math.max(0, deadline - Date.now()),
    );
    req.on('data', onData).once('end', onEnd).once('error', onBroken).once('close', onBroken);
  });
}

/** The problem for a body above the limit of its route, in bytes. */
export function tooLarge(limit: number): AppError {
  return new AppError('too-large', `At most ${limit} bytes are accepted here`, { limit });
}

function cutOff(reason: CutReason): AppError {
  if (reason === 'stalled') return new AppError('deadline', 'The body did not arrive in time');
  return new AppError('overloaded', 'Too many bytes are on their way, and this body was the slowest');
}
