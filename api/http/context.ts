import type { Response } from 'express';
import { AppError } from '../../domain/errors.ts';
import type { Caller } from './bearer-tokens.ts';

/** What the service knows of a request while it serves it. */
export interface RequestContext {
  /** The client's own id of the request, else the service's: returned as `X-Request-Id`, in problems and in logs. */
  readonly requestId: string;
  /** The service's own id of the request. It goes with the commands into batches, histories and logs: no client writes there. */
  readonly correlationId: string;
  /** Milliseconds since 1970; the answer is due before it. */
  readonly deadline: number;
  /** Route template, once one matched. */
  route?: string;
  caller?: Caller;
  /** The body as it came; kept only for requests with an Idempotency-Key. */
  rawBody?: Buffer;
  /** Ends when its reader goes: its duration says nothing of the service. */
  isStream?: boolean;
}

const KEY = 'context';

/** Attaches the context at the start of a request. */
export function setContext(response: Response, context: RequestContext): void {
  response.locals[KEY] = context;
}

/** The context of the request that this response answers. */
export function contextOf(response: Response): RequestContext {
  return response.locals[KEY] as RequestContext;
}

/** The authenticated caller. @throws AppError `unauthenticated` on routes that nobody authenticated */
export function callerOf(response: Response): Caller {
  const { caller } = contextOf(response);
  if (caller === undefined) throw new AppError('unauthenticated');
  return caller;
}
