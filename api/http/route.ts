import type { Request, Response } from 'express';
import type { z } from 'zod';
import type { ProblemCode } from '../../domain/errors.ts';
import type { Caller } from './caller.ts';
import type { Shedding } from './load-shedder.ts';
import type { Reply } from './reply.ts';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
/** Who may call: anybody, users with a token, or operators. */
export type Access = 'public' | 'user' | 'operator';
/** Requests that share a rate limit. */
export const RATE_CLASSES = ['messages', 'signals', 'commits', 'claims', 'writes', 'reads'] as const;
export type RateClass = (typeof RATE_CLASSES)[number];

/**
 * Who may use a route whose path names a conversation: those who are or were members, or also everybody where the policy of
 * the conversation lets anyone join.
 */
export type Admission = 'member' | 'joinable' | 'askable';

/** CPU time that a request costs this process, in milliseconds, as `npm run cost:requests` measures it. */
export interface RouteCost {
  /** The request with a small body, or without one. */
  readonly request: number;
  /** Each megabyte of its body. */
  readonly perMb: number;
  /** Each element of a list in its body, and each property of an object in it. */
  readonly perItem: number;
}

/** The input of a handler: a request that is parsed and authenticated. */
export interface Call<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly caller: Caller;
  /** The service's own id of the request. */
  readonly correlationId: string;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  /** Id for an operation if the client sent none. Requests with the same Idempotency-Key get the same id. */
  readonly operationId: () => string;
  readonly request: Request;
  readonly response: Response;
}

/** One answer of a route, for the OpenAPI document. */
export interface DocumentedReply {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** @default application/json if there is a schema */
  readonly mediaType?: string;
  /** Of a stream: the schema of one event. */
  readonly event?: z.ZodType;
  /** For an answer that no recorded run has, because something must be broken for it. */
  readonly example?: unknown;
}

/** One route: its input, its answers, and who may call it. The OpenAPI document and the server use the same routes. */
export interface RouteSpec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  readonly method: Method;
  /** OpenAPI template: `/v1/conversations/{id}`. */
  readonly path: string;
  /** OpenAPI operationId. */
  readonly name: string;
  readonly summary: string;
  /** What the summary does not say: for whom it is, what else happens. Markdown. */
  readonly description: string;
  readonly tag: string;
  /** @default user */
  readonly access?: Access;
  /**
   * Only for a path that names a conversation: who may use the route.
   * @default member
   */
  readonly admission?: Admission;
  /** @default `reads` for GET, otherwise `writes` */
  readonly rateClass?: RateClass;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /**
   * For a body with several forms: chooses the schema of the form that this body seems to have. Its messages are clearer
   * than those of all forms together.
   */
  readonly choose?: (body: Readonly<Record<string, unknown>>) => z.ZodType;
  /** Number of requests that this body counts as in its rate limit. The body may be malformed. @default 1 */
  readonly weigh?: (body: unknown) => number;
  /** What the route costs where it differs from its class. */
  readonly cost?: Partial<RouteCost>;
  /** Bytes. @default 256 KB */
  readonly bodyLimit?: number;
  /** The answer may have some megabytes, so that few of one user are made at a time. */
  readonly hasLargeAnswer?: boolean;
  /** Only for a public route: it costs so little that it is not counted. */
  readonly isFree?: boolean;
  /**
   * When an overloaded process sheds requests of this route.
   * @default `last` for the class `commits`, otherwise `first`; routes without a user and streams `never`
   */
  readonly shedding?: Shedding;
  /**
   * Nothing of a request may be stored, not even a hash: an Idempotency-Key has no effect.
   * @default false
   */
  readonly storesNothing?: boolean;
  /** The answer does not end, so the path has no HEAD. */
  readonly isStream?: boolean;
  readonly replies: Readonly<Record<number, DocumentedReply>>;
  readonly problems: readonly ProblemCode[];
  /**
   * Answers a request. Only streams return nothing, because they write to the response themselves.
   *
   * This is a method, because TypeScript lets a method with a narrower parameter stand for one with a wider parameter. So a
   * route with schemas of its own is a {@link Route} without a cast. It is safe: `makeHandle` parses with the schemas of the
   * same route.
   */
  handle(call: Call<z.output<P>, z.output<Q>, z.output<B>>): Promise<Reply | undefined>;
}

/** A route of any schemas. {@link defineRoute} checked the types of its handler against its schemas. */
export type Route = RouteSpec<z.ZodType, z.ZodType, z.ZodType>;

/** Defines a route. The types of its schemas are the types of what its handler gets. */
export function defineRoute<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  spec: RouteSpec<P, Q, B>,
): Route {
  return spec;
}

/** The rate limit that counts the requests of a route. */
export function rateClassOf(route: Route): RateClass {
  return route.rateClass ?? (route.method === 'get' ? 'reads' : 'writes');
}
