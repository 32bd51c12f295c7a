import type { RequestHandler } from 'express';
import { AppError } from '../../domain/errors.ts';
import { callerOf, contextOf } from './context.ts';
import type { LoadShedder, Shedding } from './load-shedder.ts';
import { writeProblem } from './problems.ts';
import { type RateClass, type Route, rateClassOf } from './route.ts';

/** A larger body would arrive before the next request of its connection, only to be dropped. */
const MOST_DROPPED_BYTES = 64 * 1024;
/** So many bytes of a body count as one more ordinary request. */
const BYTES_OF_UNIT = 16 * 1024;
/** Clients come back at different times, from 1 to so many seconds later. */
const RETRY_WITHIN_S = 4;

export interface LoadShedding {
  readonly shedder: Pick<LoadShedder, 'admits'>;
  readonly onShed: (rateClass: RateClass) => void;
}

/** One error for all, because its stack trace would cost as much as the rest of the answer. */
const OVERLOADED = new AppError('overloaded', 'The service has more work than it can begin in time');

/** Answers 503 `overloaded` where the shedder says so: when the caller is known, and before anything else is done. */
export function makeShedLoad(route: Route, { shedder, onShed }: LoadShedding): RequestHandler | undefined {
  const shedding = sheddingOf(route);
  if (shedding === 'never') return undefined;
  const rateClass = rateClassOf(route);
  return function shedLoad(req, res, next) {
    const bytes = Number(req.headers['content-length'] ?? 0);
    if (shedder.admits(callerOf(res).user, shedding, 1 + bytes / BYTES_OF_UNIT)) {
      next();
      return;
    }
    onShed(rateClass);
    contextOf(res).waitsFor = 'queue';
    // Node drops the rest of a small body by itself, and the connection stays open.
    if (bytes > MOST_DROPPED_BYTES || req.headers['transfer-encoding'] !== undefined) {
      res.setHeader('Connection', 'close');
    }
    res.setHeader('Retry-After', 1 + Math.floor(Math.random() * RETRY_WITHIN_S));
    // Not through the error handler, which would write a line with a stack trace for each.
    writeProblem(res, OVERLOADED);
  };
}

/** When requests of a route are shed. Without a user, or for a stream, never. */
export function sheddingOf(route: Route): Shedding {
  const { access = 'user', isStream = false } = route;
  if (access !== 'user' || isStream) return 'never';
  return route.shedding ?? (rateClassOf(route) === 'commits' ? 'last' : 'first');
}
