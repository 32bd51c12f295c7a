import { randomUUID } from 'node:crypto';
import type { RequestHandler } from 'express';
import type { z } from 'zod';
import { AppError } from '../../domain/errors.ts';
import { callerOf, contextOf } from './context.ts';
import { type Reply, send } from './reply.ts';
import type { Call, Route } from './route.ts';
import { validate } from './validate.ts';
import { type RunOnce, idempotencyScope } from './idempotency.ts';

/** Validates, runs a route's handler once, and sends what it returns; after the deadline it answers in its place. */
export function makeHandle(route: Route, runOnce: RunOnce): RequestHandler {
  return async function handle(req, res) {
    const context = contextOf(res);
    const scope =
      route.method === 'post' && context.caller !== undefined
        ? idempotencyScope(req, context.caller, context.rawBody)
        : undefined;
    const call: Call<unknown, unknown, unknown> = {
      params: parseParams(route, req.params),
      query: route.query === undefined ? undefined : validate(route.query, { ...req.query }, 'query'),
      body: route.body === undefined ? undefined : validate(bodySchema(route, route.body, req.body), req.body, 'body'),
      // A getter: on public routes there is none to ask for.
      get caller() {
        return callerOf(res);
      },
      correlationId: context.correlationId,
      deadline: context.deadline,
      operationId: () => scope?.operationId ?? randomUUID(),
      request: req,
      response: res,
    };
    const run = async (): Promise<Reply | undefined> => route.handle(call);
    const reply = await inTime(
      scope === undefined ? run() : runOnce(scope, context.deadline, run as () => Promise<Reply>),
      context.deadline,
    );
    if (reply !== undefined) send(res, reply);
  };
}

/** A path that cannot name anything names nothing. */
function parseParams({ params }: Route, given: unknown): unknown {
  if (params === undefined) return undefined;
  const result = params.safeParse(given);
  if (!result.success) throw new AppError('not-found');
  return result.data;
}

function bodySchema({ choose }: Route, schema: z.ZodType, body: unknown): z.ZodType {
  const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
  return choose !== undefined && isObject ? choose(body as Readonly<Record<string, unknown>>) : schema;
}

/** The work goes on after the deadline, and may still be decided: the client asks again with the same id. */
function inTime<T>(work: Promise<T>, deadline: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new AppError('deadline')), Math.max(0, deadline - Date.now()));
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
