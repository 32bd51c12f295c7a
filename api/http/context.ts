import type { Response } from 'express';
import { AppError } from '../../domain/errors.ts';
import type { Caller } from './caller.ts';

/** Facts about a request while the service handles it. */
export interface RequestContext {
  /**
   * Id of the request as the client sees it: in `X-Request-Id`, problems and logs. The client may choose it; otherwise it is
   * the correlation id.
   */
  readonly requestId: string;
  /**
   * The service's own id of the request. It goes with the commands into batches, histories and worker logs. No client can
   * choose text for these places.
   */
  readonly correlationId: string;
  /** Milliseconds since 1970. The request must be answered before this time. */
  readonly deadline: number;
  /** Path template of the route. Absent until a route matched. */
  route?: string;
  caller?: Caller;
  /** Bytes of the body. They are kept only for requests with an Idempotency-Key. */
  rawBody?: Buffer;
  /** True for an event stream. It ends when its reader goes, so its duration is not a measure of the service. */
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

/** The authenticated caller. @throws AppError `unauthenticated` if the route needs no token */
export function callerOf(response: Response): Caller {
  const { caller } = contextOf(response);
  if (caller === undefined) throw new AppError('unauthenticated');
  return caller;
}
