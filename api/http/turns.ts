import { AsyncResource } from 'node:async_hooks';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { AppError } from '../../domain/errors.ts';
import { HEAVY_BODY_BYTES } from '../../domain/limits.ts';
import { callerOf, contextOf, whenOver } from './context.ts';

export interface TurnsOptions {
  /** Requests of one user that are served at a time. */
  readonly perUser: number;
  /** Requests of one user that may wait behind them. */
  readonly waitingPerUser: number;
  /** Milliseconds after which a request gives its turn to the next, although it is still served. @default it keeps it */
  readonly longestMs?: number;
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
export function makeTurns({ perUser, waitingPerUser, longestMs }: TurnsOptions): RequestHandler {
  const users = new Map<string, User>();

  const leave = (name: string, user: User): void => {
    user.running--;
    const [next] = user.waiting;
    if (next !== undefined) next();
    else if (user.running === 0) users.delete(name);
  };
  const enter = (name: string, user: User, res: Response, next: NextFunction): void => {
    user.running++;
    let hasTurn = true;
    const end = (): void => {
      clearTimeout(timer);
      if (hasTurn) leave(name, user);
      hasTurn = false;
    };
    const timer = longestMs === undefined ? undefined : setTimeout(end, longestMs);
    whenOver(res, end);
    next();
  };

  return function takeTurn(req, res, next) {
    const name = callerOf(res).user;
    const user = users.get(name) ?? { running: 0, waiting: new Set() };
    users.set(name, user);
    if (user.running < perUser) {
      enter(name, user, res, next);
      return;
    }
    if (user.waiting.size >= waitingPerUser) {
      contextOf(res).waitsFor = 'turn';
      throw new AppError('overloaded', `At most ${perUser + waitingPerUser} of your requests are served at a time`);
    }
    const stopWaiting = (): void => {
      clearTimeout(timer);
      user.waiting.delete(start);
    };
    const context = contextOf(res);
    context.waitsFor = 'turn';
    // The turn comes from another request. This one goes on with its own deadline for statements.
    const start = AsyncResource.bind((): void => {
      stopWaiting();
      delete context.waitsFor;
      enter(name, user, res, next);
    });
    const timer = setTimeout(
      () => {
        stopWaiting();
        // Its body was not read, and would have to arrive before the next request of its connection.
        if (hasBody(req)) res.setHeader('Connection', 'close');
        next(new AppError('deadline', 'Too many of your requests are being served'));
      },
      Math.max(0, context.deadline - Date.now()),
    );
    user.waiting.add(start);
    whenOver(res, stopWaiting);
  };
}

/**
 * Lets only requests take a turn whose body is large, or of unknown size. A body above the limit is refused unread, so it needs none.
 * @param limit bytes of the largest body of the route
 */
export function onlyLargeBodies(takeTurn: RequestHandler, limit: number): RequestHandler {
  return function takeTurnForLargeBody(req, res, next) {
    const announced = Number(req.headers['content-length'] ?? 0);
    const isLarge = announced > HEAVY_BODY_BYTES && announced <= limit;
    if (isLarge || req.headers['transfer-encoding'] !== undefined) void takeTurn(req, res, next);
    else next();
  };
}

function hasBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
