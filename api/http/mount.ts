import type { Express, IRoute, RequestHandler } from 'express';
import type { Jobs } from '../../compute/jobs.ts';
import { AppError } from '../../domain/errors.ts';
import { BODY_LIMIT_DEFAULT } from '../../domain/limits.ts';
import { operatorsOnly } from './authenticated.ts';
import { makeHandle } from './handle.ts';
import { type Admit, admissionOf, makeConversationGuard } from './conversation-guard.ts';
import type { RunOnce } from './idempotency.ts';
import { makeJsonBody } from './json-body.ts';
import type { RateLimiters } from './rate-limits.ts';
import { contextOf } from './context.ts';
import type { Route } from './route.ts';
import { type LoadShedding, makeShedLoad } from './shed-load.ts';
import { onlyLargeBodies } from './turns.ts';

export interface MountDeps {
  readonly authenticated: RequestHandler;
  readonly admitDevice: RequestHandler;
  /** The same for streams, which may also be opened with a ticket. */
  readonly streamAuthenticated: RequestHandler;
  /** Lets only some requests of one user be served at a time. */
  readonly takeTurn: RequestHandler;
  /** The same for heavy requests, of which fewer are served at a time. */
  readonly takeHeavyTurn: RequestHandler;
  readonly conversations: Admit;
  readonly limits: RateLimiters;
  readonly runOnce: RunOnce;
  readonly jobs: Jobs;
  /** Absent = nothing is shed. */
  readonly loadShedding: LoadShedding | undefined;
}

/** Registers routes with Express, in their order. Each path answers 405 for all other methods. */
export function mountRoutes(app: Express, routes: readonly Route[], deps: MountDeps): void {
  for (const path of new Set(routes.map((route) => route.path))) {
    const here = routes.filter((route) => route.path === path);
    const mounted = app.route(expressPath(path));
    const methodNotAllowed = makeMethodNotAllowed(path, here);
    // Without this, Express would handle HEAD like GET and open a stream.
    if (here.some(({ isStream }) => isStream)) mounted.head(methodNotAllowed);
    for (const route of here) mount(mounted, route, deps);
    mounted.all(methodNotAllowed);
  }
}

/**
 * Rights come before work: the token, the limits of its user, the conversation in the path. Only then the body is read. So
 * a stranger costs no more than a look-up, and each of its look-ups was counted.
 */
function mount(mounted: IRoute, route: Route, deps: MountDeps): void {
  const { authenticated, admitDevice, takeTurn, takeHeavyTurn, conversations, limits, runOnce, jobs, loadShedding } =
    deps;
  const { access = 'user', bodyLimit = BODY_LIMIT_DEFAULT } = route;
  const admission = admissionOf(route);
  const heavyTurn = (): RequestHandler | undefined => {
    if (access === 'public') return undefined;
    if (route.hasLargeAnswer === true) return takeHeavyTurn;
    return route.body === undefined ? undefined : onlyLargeBodies(takeHeavyTurn, bodyLimit);
  };
  const chain: (RequestHandler | undefined)[] = [
    makeMatched(route.path),
    access === 'public' ? undefined : takesTickets(route) ? deps.streamAuthenticated : authenticated,
    access === 'operator' ? operatorsOnly : undefined,
    loadShedding === undefined ? undefined : makeShedLoad(route, loadShedding),
    limits.of(route),
    access === 'public' ? undefined : admitDevice,
    // A stream has a limit of its own: it would hold its turn for hours.
    access === 'public' || route.isStream === true ? undefined : takeTurn,
    admission === undefined ? undefined : makeConversationGuard(admission, conversations),
    // After the guard: those who are refused there wait for nobody, and nobody waits for them.
    heavyTurn(),
    route.body === undefined ? undefined : makeJsonBody(route, bodyLimit, jobs),
    makeHandle(route, runOnce),
  ];
  mounted[route.method](...chain.filter((handler) => handler !== undefined));
}

/** A ticket carries no rights of an operator. */
function takesTickets({ isStream, access }: Route): boolean {
  return isStream === true && access !== 'operator';
}

/** Notes the path template of the route. Logs and metrics contain the template instead of the path. */
function makeMatched(path: string): RequestHandler {
  const namesConversation = path.includes('/conversations/{id}');
  return function matched(req, res, next) {
    const context = contextOf(res);
    context.route = path;
    if (namesConversation && typeof req.params.id === 'string') context.pathId = req.params.id;
    next();
  };
}

function makeMethodNotAllowed(path: string, routes: readonly Route[]): RequestHandler {
  const methods = routes.flatMap(({ method, isStream }) =>
    method === 'get' && isStream !== true ? ['GET', 'HEAD'] : [method.toUpperCase()],
  );
  const allow = ['OPTIONS', ...methods].sort().join(', ');
  return function methodNotAllowed(req, res) {
    contextOf(res).route = path;
    res.setHeader('Allow', allow);
    if (req.method !== 'OPTIONS') throw new AppError('method-not-allowed', `Only ${allow} are supported here`);
    res.status(204).end();
  };
}

/** Converts an OpenAPI template to a path of Express: `/v1/conversations/{id}` to `/v1/conversations/:id`. */
function expressPath(template: string): string {
  return template.replaceAll(/\{(\w+)\}/g, ':$1');
}
