import type { RequestHandler } from 'express';
import { AppError } from '../../domain/errors.ts';
import type { Authenticate } from './bearer-tokens.ts';
import type { Caller } from './caller.ts';
import { callerOf, contextOf } from './context.ts';

/**
 * Refuses requests without a valid token.
 * @param onCaller is called with every caller, and must return at once
 * @param onRefused counts refused tokens, and answers the request if there were too many
 */
export function makeAuthenticated(
  authenticate: Authenticate,
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
      if (onRefused === undefined || !(error instanceof AppError) || error.code !== 'unauthenticated') throw error;
      await onRefused(req, res, (refused?: unknown) => next(refused ?? error));
      return;
    }
    contextOf(res).caller = caller;
    onCaller(caller);
    next();
  };
}

/** Refuses callers who are not operators. */
export function operatorsOnly(...[, res, next]: Parameters<RequestHandler>): void {
  if (!callerOf(res).isOperator) throw new AppError('not-allowed', 'This route needs a token with the scope operator');
  next();
}
