import type { NextFunction, RequestHandler, Response } from 'express';
import { AppError } from '../../domain/errors.ts';
import { callerOf, contextOf, whenOver } from './context.ts';

export interface TurnsOptions {
  /** Requests of one user that are served at a time. */
  readonly perUser: number;
  /** Requests of one user that may wait behind them. */
  readonly waitingPerUser: number;
}

interface User {
  running: number;
  /** In the order of arrival. A request that gave up is no longer in it. */
  readonly waiting: Set<() => void>;
}

/**
 * Serves only some requests of one user at a time. The others wait for their turn, before their bodies are read, and until
 * their deadline; requests of other users pass them. Without this, thousands of cheap requests of one user would stand in the
 * event loop before the one request of somebody else.
 * @throws AppError `overloaded` when too many wait already, `deadline` when the turn did not come
 */
export function makeTurns({ perUser, waitingPerUser }: TurnsOptions): RequestHandler {
  const users = new Map<string, User>();

  const leave = (name: string, user: User): void => {
    user.running--;
    const [next] = user.waiting;
    if (next !== undefined) next();
    else if (user.running === 0) users.delete(name);
  };
  const enter = (name: string, user: User, res: Response, next: NextFunction): void => {
    user.running++;
    whenOver(res, () => leave(name, user));
    next();
  };

  return function takeTurn(_req, res, next) {
    const name = callerOf(res).user;
    const user = users.get(name) ?? { running: 0, waiting: new Set() };
    users.set(name, user);
    if (user.running < perUser) {
      enter(name, user, res, next);
      return;
    }
    if (user.waiting.size >= waitingPerUser) {
      throw new AppError('overloaded', `At most ${perUser + waitingPerUser} of your requests are served at a time`);
    }
    const stopWaiting = (): void => {
      clearTimeout(timer);
      user.waiting.delete(start);
    };
    const start = (): void => {
      stopWaiting();
      enter(name, user, res, next);
    };
    const timer = setTimeout(
      () => {
        stopWaiting();
        next(new AppError('deadline', 'Too many of your requests are being served'));
      },
      Math.max(0, contextOf(res).deadline - Date.now()),
    );
    user.waiting.add(start);
    whenOver(res, stopWaiting);
  };
}
