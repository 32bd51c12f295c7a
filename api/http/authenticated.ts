import type { RequestHandler } from 'express';
import { AppError } from '../../domain/errors.ts';
import type { Authenticate, Caller } from './bearer-tokens.ts';
import { callerOf, contextOf } from './context.ts';

/**
 * Refuses requests without a valid token.
 * @param onCaller hears of every caller, and must not wait
 * @param onRefused counts refusals, and answers when there were too many
 */
export function makeAuthenticated(
  authenticate: Authenticate,
  onCaller: (caller: Caller) => void,
  onRefused: RequestHandler | undefined,
): RequestHandler {
  return async function authenticated(req, res, next) {
    let caller;
    try {
      // A token that was seen before is looked up without a turn of the event loop.
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

/** Lets operators pass. */
export function operatorsOnly(...[, res, next]: Parameters<RequestHandler>): void {
  if (!callerOf(res).isOperator) throw new AppError('not-allowed', 'This needs a token with the scope operator');
  next();
}
