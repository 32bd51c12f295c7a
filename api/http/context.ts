import type { Socket } from 'node:net';
import type { Request, Response } from 'express';
import { ipKeyGenerator } from 'express-rate-limit';
import { AppError } from '../../domain/errors.ts';
import type { Caller } from './caller.ts';
import type { KeptAnswers } from './kept-answers.ts';
import type { CommandProgress, WaitedFor } from '../../process/progress.ts';
import type { Transfer, Transfers } from './transfers.ts';

/** Counts what one request costs against the limits of its caller. */
export interface Meter {
  /**
   * @param ms CPU time of this part of the request, in milliseconds
   * @param count number of requests that the whole request counts as, if it counts as several
   * @throws AppError `rate-limited`
   */
  readonly charge: (ms: number, count?: number) => void;
  /** Counts an answer, whose size was not known before. It refuses nothing, but counts for the next request. */
  readonly debitAnswer: (bytes: number) => void;
}

/** What to do when a request is over, in the order of registration. */
export interface Ending {
  readonly then: (() => void)[];
  isOver: boolean;
}

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
  /** As the client sent it. */
  readonly traceparent?: string | undefined;
  /** Where its command is that has not succeeded. */
  readonly progress: () => CommandProgress | undefined;
  /** Milliseconds since 1970. The request must be answered before this time. */
  readonly deadline: number;
  /** Path template of the route. Absent until a route matched. */
  route?: string;
  /** Conversation in the path, as the client sent it. Express forgets it before an error is rendered. */
  pathId?: string;
  caller?: Caller;
  /** The client named its device, and no issuer vouches for it. */
  hasChosenDevice?: boolean;
  /** Operation id in the body. Absent until the body was read. */
  operation?: string;
  /** What the request waits for outside of queues. @default an answer of Postgres */
  waitsFor?: WaitedFor;
  /** The problem that it was answered with. */
  problem?: AppError;
  /** Absent where the limit is off. */
  meter?: Meter;
  /** The bytes of the body in memory. */
  body?: Transfer;
  /** All bodies and answers that this process has in memory. */
  readonly transfers: Transfers;
  /** Answers that are given again. */
  readonly kept: KeptAnswers;
  /** Bytes of the body. They are kept only for requests with an Idempotency-Key. */
  rawBody?: Buffer;
  /** What to do when the request is over. */
  ending?: Ending;
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

/** How the requests of a connection end that are not over yet. */
const ofSockets = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `then` once, when the client has the whole answer or is gone. A response alone does not tell: one that waits behind
 * another response of its connection hears nothing when the connection closes.
 */
export function whenOver(response: Response, then: () => void): void {
  const context = contextOf(response);
  const { ending } = context;
  if (ending === undefined) context.ending = listenForEnd(response, then);
  else if (ending.isOver) then();
  else ending.then.push(then);
}

/** Listens once for all that is to be done at the end: several listeners for each request would cost more. */
function listenForEnd(response: Response, first: () => void): Ending {
  const { socket } = response.req;
  let all = ofSockets.get(socket);
  if (all === undefined) {
    const running = new Set<() => void>();
    ofSockets.set(socket, (all = running));
    socket.once('close', () => {
      for (const one of running) one();
    });
  }
  const running = all;
  const ending: Ending = { then: [first], isOver: false };
  const over = (): void => {
    if (!running.delete(over)) return;
    ending.isOver = true;
    for (const then of ending.then) then();
  };
  running.add(over);
  if (socket.destroyed) over();
  else response.once('close', over);
  return ending;
}

/** Whom bytes and public requests count for: the user, or the address of a client without a token. */
export function ownerOf(response: Response): string {
  const user = contextOf(response).caller?.user;
  return user === undefined ? `address ${addressOf(response.req)}` : `user ${user}`;
}

/** The address of a client. Of IPv6, the network that a provider gives to one customer. */
export function addressOf(request: Request): string {
  return ipKeyGenerator(request.ip ?? '');
}
