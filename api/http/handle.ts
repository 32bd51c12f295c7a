import { randomUUID } from 'node:crypto';
import type { RequestHandler } from 'express';
import type { z } from 'zod';
import { AppError } from '../../domain/errors.ts';
import { callerOf, contextOf } from './context.ts';
import { type Reply, send } from './reply.ts';
import type { Call, Route } from './route.ts';
import { isJsonObject, validate } from './validate.ts';
import { inTime } from './in-time.ts';
import { type RunOnce, idempotencyScope } from './idempotency.ts';

/**
 * Validates a request, runs the handler of its route once, and sends the reply. After the deadline, the client gets
 * `deadline` instead of the reply.
 */
export function makeHandle(route: Route, runOnce: RunOnce): RequestHandler {
  return async function handle(req, res) {
    const context = contextOf(res);
    const scope =
      route.method === 'post' && route.storesNothing !== true && context.caller !== undefined
        ? idempotencyScope(req, context.caller, context.rawBody)
        : undefined;
    const call: Call<unknown, unknown, unknown> = {
      params: parseParams(route, req.params),
      query: route.query === undefined ? undefined : validate(route.query, { ...req.query }, 'query'),
      body: route.body === undefined ? undefined : validate(bodySchema(route, route.body, req.body), req.body, 'body'),
      // This is a getter, because public routes have no caller.
      get caller() {
        return callerOf(res);
      },
      correlationId: context.correlationId,
      deadline: context.deadline,
      operationId: () => scope?.operationId ?? randomUUID(),
      request: req,
      response: res,
    };
    const operation = operationIn(call.body) ?? scope?.operationId;
    if (operation !== undefined) context.operation = operation;
    const reply = await inTime(
      scope === undefined ? route.handle(call) : runOnce(scope, context.deadline, () => replyOf(route, call)),
      context.deadline,
    );
    if (reply !== undefined) send(res, reply);
  };
}

/** Runs the handler of a route that returns its reply. @throws Error for a stream, which has no reply to keep */
async function replyOf(route: Route, call: Call<unknown, unknown, unknown>): Promise<Reply> {
  const reply = await route.handle(call);
  if (reply === undefined) throw new Error(`${route.name} returned no reply`);
  return reply;
}

/** Parses the parameters of the path. A value that nothing can have gets the same `not-found` as an unknown value. */
function parseParams({ params }: Route, given: unknown): unknown {
  if (params === undefined) return undefined;
  const result = params.safeParse(given);
  if (!result.success) throw new AppError('not-found');
  return result.data;
}

function bodySchema({ choose }: Route, schema: z.ZodType, body: unknown): z.ZodType {
  return choose !== undefined && isJsonObject(body) ? choose(body) : schema;
}

/** The operation id in a valid body; of several the first. */
function operationIn(body: unknown): string | undefined {
  if (!isJsonObject(body)) return undefined;
  const { id, messages } = body;
  if (typeof id === 'string') return id;
  return Array.isArray(messages) ? operationIn(messages[0]) : undefined;
}
