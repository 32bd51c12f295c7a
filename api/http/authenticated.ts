import type { Request, RequestHandler } from 'express';
import { AppError } from '../../domain/errors.ts';
import { forUser } from '../../store/pool-share.ts';
import { type Authenticate, ExpiredTokenError } from './bearer-tokens.ts';
import type { Caller } from './caller.ts';
import { callerOf, contextOf } from './context.ts';

/** Says who sent a request. @throws AppError `unauthenticated`, `unavailable`, `overloaded` */
export type IdentifyCaller = (request: Request) => Caller | Promise<Caller>;

/** By the header Authorization. */
export function byToken(authenticate: Authenticate): IdentifyCaller {
  return ({ headers }) => authenticate(headers.authorization);
}

/** By the ticket in the query, if there is no header Authorization. Only for streams: nothing else looks at tickets. */
export function byTicket(
  open: (ticket: string, conversation: string | undefined) => Promise<Caller>,
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
 * Refuses requests without a valid token.
 * @param onCaller is called with every caller, and must return at once
 * @param onRefused counts tokens that are not genuine, and answers the request if there were too many
 */
export function makeAuthenticated(
  identify: IdentifyCaller,
  onCaller: (caller: Caller) => void,
  onRefused: RequestHandler | undefined,
): RequestHandler {
  return async function authenticated(req, res, next) {
    let caller;
    try {
      // A cached token gives its caller at once, without a turn of the event loop.
      const result = identify(req);
      caller = result instanceof Promise ? await result : result;
    } catch (error) {
      // Whoever shares the address with somebody who forges tokens must still learn that its own has expired.
      const isForged =
        error instanceof AppError && error.code === 'unauthenticated' && !(error instanceof ExpiredTokenError);
      if (onRefused === undefined || !isForged) throw error;
      await onRefused(req, res, (refused?: unknown) => next(refused ?? error));
      return;
    }
    contextOf(res).caller = caller;
    onCaller(caller);
    // From here on, statements count for the user.
    forUser({ user: caller.user, deadline: contextOf(res).deadline }, next);
  };
}

/** Refuses callers who are not operators. */
export function operatorsOnly(...[, res, next]: Parameters<RequestHandler>): void {
  if (!callerOf(res).isOperator) throw new AppError('not-allowed', 'This route needs a token with the scope operator');
  next();
}
