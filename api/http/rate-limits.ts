import type { Request, RequestHandler, Response } from 'express';
import { AppError } from '../../domain/errors.ts';
import { RATE_LIMIT_DEVICES } from '../../domain/limits.ts';
import type { RateLimits } from '../../process/config.ts';
import { type Meter, addressOf, callerOf, contextOf } from './context.ts';
import { ANSWER_MS_PER_MB, UNIT_MS, bytesMs, costOf } from './request-cost.ts';
import { RATE_CLASSES, type RateClass, type Route, rateClassOf } from './route.ts';
import { type Used, type WindowCounter, makeWindowCounter } from './window-counter.ts';

const WINDOW_MS = 60_000;
/** Of a limit, one request counts at most this part: otherwise a large one could never pass a small limit. */
const MOST_OF_A_LIMIT = 0.5;

export interface RateLimiters {
  /** Counts a request as it begins, for its device and for its user. The rest of its cost follows through its meter. */
  readonly of: (route: Route) => RequestHandler | undefined;
  /** Counts a forged token for its client address. `undefined` = no limit. */
  readonly unauthenticated: RequestHandler | undefined;
}

/** One limit: what it is called in headers, how much it allows in a minute, and its counter. */
interface Limit {
  readonly name: string;
  readonly most: number;
  /** For the refusal: `At most 10 messages from one device in a minute`. */
  readonly what: string;
  readonly counter: WindowCounter;
}

/**
 * Rate limits per minute, counted in this process. Each device may use the limit of a class, and all devices of a user
 * together {@link RATE_LIMIT_DEVICES} times as much. A class counts requests; a request that costs much more than an
 * ordinary one counts as several. What all requests of a user cost together has a limit too, in milliseconds of CPU time.
 * `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-08) describe all three. Above a limit, the answer
 * is 429 with `Retry-After`.
 */
export function makeRateLimits(limits: RateLimits): RateLimiters {
  const cost: Limit | undefined = limits.cost > 0 ? costLimit('cost-user', limits.cost, 'one user') : undefined;
  const costOfAddress = limits.cost > 0 ? costLimit('cost-address', limits.cost, 'one address') : undefined;
  const classes = new Map(RATE_CLASSES.map((name) => [name, makeClassLimits(name, limits[name])]));
  const { unauthenticated } = limits;
  return {
    of: (route) => {
      if (route.access === 'public') return route.isFree === true ? undefined : publicLimit(route, costOfAddress);
      const rateClass = rateClassOf(route);
      const ofClass = classes.get(rateClass);
      if (ofClass === undefined) return undefined;
      const { request: ms } = costOf(route);
      return function rateLimited(_req, res, next) {
        const meter = makeMeter(res, rateClass, ofClass, cost);
        contextOf(res).meter = meter;
        meter.charge(ms);
        next();
      };
    },
    unauthenticated:
      unauthenticated === 0
        ? undefined
        : makeAddressLimit({
            name: 'unauthenticated',
            most: unauthenticated,
            what: 'requests with refused tokens from one address',
            counter: makeWindowCounter(WINDOW_MS),
          }),
  };
}

interface ClassLimits {
  readonly device: Limit;
  readonly user: Limit;
}

function makeClassLimits(name: RateClass, most: number): ClassLimits | undefined {
  if (most === 0) return undefined;
  const what = name === 'messages' || name === 'signals' ? name : 'requests of this kind';
  return {
    device: { name: `${name}-device`, most, what: `${what} from one device`, counter: makeWindowCounter(WINDOW_MS) },
    user: {
      name: `${name}-user`,
      most: most * RATE_LIMIT_DEVICES,
      what: `${what} from one user`,
      counter: makeWindowCounter(WINDOW_MS),
    },
  };
}

function costLimit(name: string, most: number, whom: string): Limit {
  return { name, most, what: `milliseconds of CPU time for ${whom}`, counter: makeWindowCounter(WINDOW_MS) };
}

function makeMeter(res: Response, rateClass: RateClass, { device, user }: ClassLimits, cost: Limit | undefined): Meter {
  const caller = callerOf(res);
  // A NUL can separate the ids, because they have no control characters.
  const ofDevice = device.counter.of(`${caller.user}\0${caller.device}`);
  const ofUser = user.counter.of(caller.user);
  const ofCost = cost?.counter.of(caller.user);
  const mostUnits = Math.ceil(device.most * MOST_OF_A_LIMIT);
  let totalMs = 0;
  let chargedMs = 0;
  let totalCount = 1;
  let units = 0;

  const chargeClass = (ms: number, count: number): void => {
    totalMs += ms;
    totalCount = Math.max(totalCount, count);
    const more = Math.max(totalCount, Math.min(Math.ceil(totalMs / UNIT_MS[rateClass]), mostUnits)) - units;
    units += more;
    ofDevice.amount += more;
    // A request that its device may not send does not use up the limit of the user's other devices.
    if (ofDevice.amount > device.most) throw refusal(device, ofDevice);
    ofUser.amount += more;
    if (ofUser.amount > user.most) throw refusal(user, ofUser);
  };
  const chargeCost = (ms: number): void => {
    if (cost === undefined || ofCost === undefined) return;
    const wanted = Math.min(ms, cost.most * MOST_OF_A_LIMIT - chargedMs);
    if (ofCost.amount + wanted > cost.most) throw refusal(cost, ofCost);
    ofCost.amount += wanted;
    chargedMs += wanted;
  };
  const setHeaders = (): void => {
    const all: [Limit, Used][] = [
      [device, ofDevice],
      [user, ofUser],
    ];
    if (cost !== undefined && ofCost !== undefined) all.push([cost, ofCost]);
    setRateHeaders(res, all);
  };
  return {
    charge: (ms, count = 1) => {
      try {
        chargeClass(ms, count);
        chargeCost(ms);
      } finally {
        setHeaders();
      }
    },
    debitAnswer: (bytes) => {
      if (ofCost !== undefined) ofCost.amount += bytesMs(bytes, ANSWER_MS_PER_MB);
    },
  };
}

/** Counts the cost of a public route for the address of its client. */
function publicLimit(route: Route, limit: Limit | undefined): RequestHandler | undefined {
  if (limit === undefined) return undefined;
  const { request: ms } = costOf(route);
  return function rateLimitedByAddress(req, res, next) {
    const used = limit.counter.of(addressOf(req));
    const isRefused = used.amount + ms > limit.most;
    if (!isRefused) used.amount += ms;
    contextOf(res).meter = {
      charge: () => undefined,
      debitAnswer: (bytes) => {
        used.amount += bytesMs(bytes, ANSWER_MS_PER_MB);
      },
    };
    if (isRefused) throw refusal(limit, used);
    next();
  };
}

function makeAddressLimit(limit: Limit): RequestHandler {
  return function limitedByAddress(req: Request, res: Response, next) {
    const used = limit.counter.of(addressOf(req));
    used.amount++;
    setRateHeaders(res, [[limit, used]]);
    if (used.amount > limit.most) throw refusal(limit, used);
    next();
  };
}

function refusal({ most, what }: Limit, { resetAt }: Used): AppError {
  const retryAfterMs = Math.max(1, resetAt - Date.now());
  return new AppError('rate-limited', `At most ${most} ${what} in a minute`, {}, { retryAfterMs });
}

function setRateHeaders(res: Response, limits: readonly (readonly [Limit, Used])[]): void {
  const now = Date.now();
  const left = limits.map(([{ name, most }, { amount, resetAt }]) => {
    const seconds = Math.max(0, Math.ceil((resetAt - now) / 1000));
    return `"${name}"; r=${Math.max(0, Math.floor(most - amount))}; t=${seconds}`;
  });
  const policies = limits.map(
    ([{ name, most }, { partition }]) => `"${name}"; q=${most}; w=${WINDOW_MS / 1000}; pk=:${partition}:`,
  );
  res.setHeader('RateLimit', left.join(', '));
  res.setHeader('RateLimit-Policy', policies.join(', '));
}
