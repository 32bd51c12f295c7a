import type { Request, RequestHandler, Response } from 'express';
import { MemoryStore, ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { AppError } from '../../domain/errors.ts';
import { RATE_LIMIT_DEVICES } from '../../domain/limits.ts';
import type { RateLimits } from '../../ops/process/config.ts';
import { callerOf } from '../routing/context.ts';
import { RATE_CLASSES, type RateClass } from '../routing/route.ts';

const WINDOW_MS = 60_000;

export interface RateLimiters {
  /** Counts a request of its device and of its user; absent = no limit. */
  readonly of: (rateClass: RateClass) => RequestHandler | undefined;
  /** Counts a refused token of a client address; absent = no limit. */
  readonly unauthenticated: RequestHandler | undefined;
}

/**
 * Limits by minute, in this process: the value of a class for each device, and {@link RATE_LIMIT_DEVICES} times that for
 * all devices of a user together. `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-08) tell of
 * both; over one of them 429 with `Retry-After`.
 */
export function makeRateLimits(limits: RateLimits): RateLimiters {
  const ofClasses = new Map(RATE_CLASSES.map((name) => [name, makeClassLimit(name, limits[name])]));
  const { unauthenticated } = limits;
  return {
    of: (rateClass) => ofClasses.get(rateClass),
    unauthenticated:
      unauthenticated === 0
        ? undefined
        : makeLimiter('unauthenticated', unauthenticated, 'with refused tokens from one address', byAddress),
  };
}

function makeClassLimit(name: RateClass, limit: number): RequestHandler | undefined {
  if (limit === 0) return undefined;
  const ofUsers = new MemoryStore();
  const device = makeLimiter(`${name}-device`, limit, 'of this kind from one device', byDevice);
  const user = makeLimiter(`${name}-user`, limit * RATE_LIMIT_DEVICES, 'of this kind from one user', byUser, ofUsers);

  return async function rateLimited(req, res, next) {
    const ofDevice = await count(device, req, res);
    const wait = retryAfter(res);
    const ofUser = await count(user, req, res);
    // What a device may not do, it does not take from the other devices of its user.
    if (ofDevice !== undefined) await ofUsers.decrement(byUser(req, res));
    if (wait > retryAfter(res)) res.setHeader('Retry-After', wait);
    next(ofDevice ?? ofUser);
  };
}

function makeLimiter(
  identifier: string,
  limit: number,
  what: string,
  keyGenerator: (req: Request, res: Response) => string,
  store = new MemoryStore(),
): RequestHandler {
  return rateLimit({
    windowMs: WINDOW_MS,
    limit,
    identifier,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    keyGenerator,
    store,
    handler: (_req, _res, next) => next(new AppError('rate-limited', `At most ${limit} requests ${what} in a minute`)),
  });
}

/** @returns the refusal, if it is one too many */
function count(limiter: RequestHandler, req: Request, res: Response): Promise<unknown> {
  return new Promise((resolve) => void limiter(req, res, resolve));
}

function retryAfter(res: Response): number {
  return Number(res.getHeader('Retry-After') ?? 0);
}

function byUser(_req: Request, res: Response): string {
  return callerOf(res).user;
}

function byDevice(_req: Request, res: Response): string {
  const { user, device } = callerOf(res);
  // Neither id has control characters.
  return `${user}\0${device}`;
}

function byAddress(req: Request): string {
  return ipKeyGenerator(req.ip ?? '');
}
