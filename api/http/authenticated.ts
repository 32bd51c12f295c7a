import type { RequestHandler } from 'express';
import { AppError } from '../../domain/errors.ts';
import { forUser } from '../../store/pool-share.ts';
import { type Authenticate, ExpiredTokenError } from './bearer-tokens.ts';
import type { Caller } from './caller.ts';
import { callerOf, contextOf } from './context.ts';

/**
 * Refuses requests without a valid token.
 * @param isCutOff whether an operator has removed a caller from everywhere
 * @param onCaller is called with every caller, and must return at once
 * @param onRefused counts tokens that are not genuine, and answers the request if there were too many
 */
export function makeAuthenticated(
  authenticate: Authenticate,
  isCutOff: (caller: Caller) => boolean,
  onCaller: (caller: Caller) => void,
  onRefused: RequestHandler | undefined,
): RequestHandler {
  return async function authenticated(req, res, next) {
    let caller;
    try {
      // A cached token gives its caller at once, without a turn of the event loop.
      const result = authenticate(req.headers.authorization);
      caller = result instanceof Promise ? await result : result;
    } catch (error) {
      // Whoever shares the address with somebody who forges tokens must still learn that its own has expired.
      const isForged =
        error instanceof AppError && error.code === 'unauthenticated' && !(error instanceof ExpiredTokenError);
      if (onRefused === undefined || !isForged) throw error;
      await onRefused(req, res, (refused?: unknown) => next(refused ?? error));
      return;
    }
    if (isCutOff(caller))
      throw new AppError('removed', 'An operator has removed you, or this device, from the service');
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
