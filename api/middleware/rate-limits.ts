import type { RequestHandler } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { AppError } from '../../domain/errors.ts';
import type { RateLimits } from '../../ops/process/config.ts';
import { callerOf } from '../routing/context.ts';
import type { RateClass } from '../routing/route.ts';

const WINDOW_MS = 60_000;

export interface RateLimiters {
  /** Counts a request of its user; absent = no limit. */
  readonly of: (rateClass: RateClass) => RequestHandler | undefined;
  /** Counts a refused token of a client address; absent = no limit. */
  readonly unauthenticated: RequestHandler | undefined;
}

/** Limits by user and minute, in this process. Over one: 429 with `RateLimit`, `RateLimit-Policy` and `Retry-After`. */
export function makeRateLimits(limits: RateLimits): RateLimiters {
  const limiter = (
    name: keyof RateLimits,
    keyOf: (...args: Parameters<RequestHandler>) => string,
  ): RequestHandler | undefined => {
    if (limits[name] === 0) return undefined;
    return rateLimit({
      windowMs: WINDOW_MS,
      limit: limits[name],
      identifier: name,
      standardHeaders: 'draft-8',
      legacyHeaders: false,
      keyGenerator: (req, res) => keyOf(req, res, () => undefined),
      handler: (_req, _res, next) => next(new AppError('rate-limited')),
    });
  };
  const byUser = (...[, res]: Parameters<RequestHandler>): string => callerOf(res).user;
  const byAddress = (...[req]: Parameters<RequestHandler>): string => ipKeyGenerator(req.ip ?? '');
  const ofUsers: Readonly<Record<RateClass, RequestHandler | undefined>> = {
    messages: limiter('messages', byUser),
    writes: limiter('writes', byUser),
    reads: limiter('reads', byUser),
  };
  return { of: (rateClass) => ofUsers[rateClass], unauthenticated: limiter('unauthenticated', byAddress) };
}
