import type { Request, RequestHandler, Response } from 'express';
import { MemoryStore, ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { AppError } from '../../domain/errors.ts';
import { RATE_LIMIT_DEVICES } from '../../domain/limits.ts';
import type { RateLimits } from '../../process/config.ts';
import { callerOf } from './context.ts';
import { RATE_CLASSES, type RateClass } from './route.ts';

const WINDOW_MS = 60_000;
/** Headers to which the limiters append their values. */
const RATE_HEADERS = ['RateLimit', 'RateLimit-Policy'];

export interface RateLimiters {
  /** Counts a request for its device and for its user. `undefined` = no limit. */
  readonly of: (rateClass: RateClass) => RequestHandler | undefined;
  /**
   * Counts the other messages of a body with several messages: {@link of} counted one before the body was read.
   * `undefined` = no limit.
   */
  readonly ofBody: (rateClass: RateClass, weigh: (body: unknown) => number) => RequestHandler | undefined;
  /** Counts a refused token for its client address. `undefined` = no limit. */
  readonly unauthenticated: RequestHandler | undefined;
}

/**
 * Rate limits per minute, counted in this process. Each device may use the limit of a class, and all devices of a user
 * together {@link RATE_LIMIT_DEVICES} times as much. `RateLimit` and `RateLimit-Policy`
 * (draft-ietf-httpapi-ratelimit-headers-08) describe both limits. Above a limit, the answer is 429 with `Retry-After`.
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

/** Counts a number of requests at once, and replaces the headers. @returns the refusal if there are too many */
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
    // The limiters below count the last one.
    for (let i = 1; i < times; i++) {
      await ofDevices.increment(byDevice(req, res));
      await ofUsers.increment(byUser(req, res));
    }
    const ofDevice = await pass(device, req, res);
    const wait = retryAfter(res);
    const ofUser = await pass(user, req, res);
    // A request that its device may not send does not use up the limit of the user's other devices.
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
    // The library would report a request that is counted twice. A list is counted before and after its body is read.
    validate: { singleCount: false },
    handler: (_req, _res, next) => next(new AppError('rate-limited', `At most ${limit} ${what} in a minute`)),
  });
}

/** Runs a limiter. @returns the refusal if the request is above the limit */
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
  // A NUL can separate the ids, because they have no control characters.
  return `${user}\0${device}`;
}

function byAddress(req: Request): string {
  return ipKeyGenerator(req.ip ?? '');
}
