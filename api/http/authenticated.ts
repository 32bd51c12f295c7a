import type { Request, RequestHandler } from 'express';
import { AppError } from '../../domain/errors.ts';
import { MAX_DEVICES_PER_USER } from '../../domain/limits.ts';
import { forUser } from '../../store/pool-share.ts';
import { type Authenticate, ExpiredTokenError, type TokenCaller } from './bearer-tokens.ts';
import type { Caller } from './caller.ts';
import { callerOf, contextOf } from './context.ts';
import { inTime } from './in-time.ts';
import { DEVICE_HEADER, nameDevice } from './named-device.ts';

/** Room comes when the user deletes a device. */
const DEVICES_RETRY_MS = 60_000;
const HEADER = DEVICE_HEADER.toLowerCase() as Lowercase<typeof DEVICE_HEADER>;

/** What a token or a ticket says of the sender. */
type Identified = TokenCaller & Pick<Caller, 'ticket'>;

/** Says who sent a request. @throws AppError `unauthenticated`, `unavailable`, `overloaded` */
export type IdentifyCaller = (request: Request) => Identified | Promise<Identified>;

/** By the header Authorization. */
export function byToken(authenticate: Authenticate): IdentifyCaller {
  return ({ headers }) => authenticate(headers.authorization);
}

/** By the ticket in the query, if there is no header Authorization. Only for streams: nothing else looks at tickets. */
export function byTicket(
  open: (ticket: string, conversation: string | undefined) => Promise<Identified>,
  otherwise: IdentifyCaller,
): IdentifyCaller {
  return (request) => {
    const { ticket } = request.query;
    if (typeof ticket !== 'string' || request.headers.authorization !== undefined) return otherwise(request);
    const { id } = request.params;
    return open(ticket, typeof id === 'string' ? id : undefined);
  };
}

/**
 * Refuses requests without a valid token or ticket. This is the only place that makes a caller from a token or a ticket.
 * @param isCutOff whether an operator has removed a caller from everywhere
 * @param note records the device of a caller in the background; one that its client chose is admitted later (`admitDevice`)
 * @param onRefused counts tokens that are not genuine, and answers the request if there were too many
 */
export function makeAuthenticated(
  identify: IdentifyCaller,
  isCutOff: (caller: Caller) => boolean,
  note: (caller: Caller) => void,
  onRefused: RequestHandler | undefined,
): RequestHandler {
  return async function authenticated(req, res, next) {
    const { deadline } = contextOf(res);
    let token;
    try {
      // A cached token gives its caller at once, without a turn of the event loop.
      const result = identify(req);
      token = result instanceof Promise ? await inTime(result, deadline) : result;
    } catch (error) {
      // Whoever shares the address with somebody who forges tokens must still learn that its own has expired.
      const isForged =
        error instanceof AppError && error.code === 'unauthenticated' && !(error instanceof ExpiredTokenError);
      if (onRefused === undefined || !isForged) throw error;
      await onRefused(req, res, (refused?: unknown) => next(refused ?? error));
      return;
    }
    const { device: claimed, ...rest } = token;
    // `headers` has the values of several such headers in one text.
    const named = req.headers[HEADER] === undefined ? undefined : req.headersDistinct[HEADER];
    const { device, isChosen } = nameDevice(claimed, named);
    const caller = { ...rest, device };
    if (isCutOff(caller)) {
      throw new AppError('removed', 'An operator has removed you, or this device, from the service');
    }
    const context = contextOf(res);
    context.caller = caller;
    if (isChosen) context.hasChosenDevice = true;
    else note(caller);
    // From here on, statements count for the user.
    forUser({ user: caller.user, deadline }, next);
  };
}

/**
 * Admits a device that no issuer vouches for, after the limits of its user: whoever makes up devices must not fill a table.
 * @param admit returns false if the user has too many devices
 */
export function makeAdmitDevice(admit: (caller: Caller) => boolean | Promise<boolean>): RequestHandler {
  return async function admitDevice(_req, res, next) {
    const { hasChosenDevice = false, deadline } = contextOf(res);
    if (hasChosenDevice) {
      const result = admit(callerOf(res));
      const isAdmitted = result instanceof Promise ? await inTime(result, deadline) : result;
      if (!isAdmitted) {
        const detail = `A user has at most ${MAX_DEVICES_PER_USER} devices: delete those that are gone`;
        throw new AppError('rate-limited', detail, {}, { retryAfterMs: DEVICES_RETRY_MS });
      }
    }
    next();
  };
}

/** Refuses callers who are not operators. */
export function operatorsOnly(...[, res, next]: Parameters<RequestHandler>): void {
  if (!callerOf(res).isOperator) throw new AppError('not-allowed', 'This route needs the token of an operator');
  next();
}
