import type { Request, RequestHandler, Response } from 'express';
import { MemoryStore, ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { AppError } from '../../domain/errors.ts';
import { RATE_LIMIT_DEVICES } from '../../domain/limits.ts';
import type { RateLimits } from '../../process/config.ts';
import { callerOf } from './context.ts';
import { RATE_CLASSES, type RateClass } from './route.ts';

const WINDOW_MS = 60_000;
/** The limiters append to them. */
const RATE_HEADERS = ['RateLimit', 'RateLimit-Policy'];

export interface RateLimiters {
  /** Counts a request of its device and of its user; absent = no limit. */
  readonly of: (rateClass: RateClass) => RequestHandler | undefined;
  /** Counts what a body asks for beyond the one that {@link of} counted before it was read; absent = no limit. */
  readonly ofBody: (rateClass: RateClass, weigh: (body: unknown) => number) => RequestHandler | undefined;
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
    of: (rateClass) => {
      const count = ofClasses.get(rateClass);
      if (count === undefined) return undefined;
      return async function rateLimited(req, res, next) {
        next(await count(req, res, 1));
      };
    },
    ofBody: (rateClass, weigh) => {
      const count = ofClasses.get(rateClass);
      if (count === undefined) return undefined;
      return async function rateLimitedByBody(req, res, next) {
        const more = weigh(req.body) - 1;
        next(more > 0 ? await count(req, res, more) : undefined);
      };
    },
    unauthenticated:
      unauthenticated === 0
        ? undefined
        : makeLimiter('unauthenticated', unauthenticated, 'requests with refused tokens from one address', byAddress),
  };
}

/** Counts so many at once, and writes the headers anew. @returns the refusal, if they are too many */
type Count = (req: Request, res: Response, times: number) => Promise<unknown>;

function makeClassLimit(name: RateClass, limit: number): Count | undefined {
  if (limit === 0) return undefined;
  const what = name === 'messages' ? 'messages' : 'requests of this kind';
  const ofDevices = new MemoryStore();
  const ofUsers = new MemoryStore();
  const device = makeLimiter(`${name}-device`, limit, `${what} from one device`, byDevice, ofDevices);
  const user = makeLimiter(`${name}-user`, limit * RATE_LIMIT_DEVICES, `${what} from one user`, byUser, ofUsers);

  return async (req, res, times) => {
    for (const header of RATE_HEADERS) res.removeHeader(header);
    // The limiters themselves count one.
    for (let i = 1; i < times; i++) {
      await ofDevices.increment(byDevice(req, res));
      await ofUsers.increment(byUser(req, res));
    }
    const ofDevice = await pass(device, req, res);
    const wait = retryAfter(res);
    const ofUser = await pass(user, req, res);
    // What a device may not do, it does not take from the other devices of its user.
    if (ofDevice !== undefined) for (let i = 0; i < times; i++) await ofUsers.decrement(byUser(req, res));
    if (wait > retryAfter(res)) res.setHeader('Retry-After', wait);
    return ofDevice ?? ofUser;
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
    // A list is counted before and after it is read.
    validate: { singleCount: false },
    handler: (_req, _res, next) => next(new AppError('rate-limited', `At most ${limit} ${what} in a minute`)),
  });
}

/** @returns the refusal, if it is one too many */
function pass(limiter: RequestHandler, req: Request, res: Response): Promise<unknown> {
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
