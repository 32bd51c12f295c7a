import type { Express, IRoute, RequestHandler } from 'express';
import type { Jobs } from '../../compute/jobs.ts';
import { AppError } from '../../domain/errors.ts';
import { BODY_LIMIT_DEFAULT } from '../../domain/limits.ts';
import { operatorsOnly } from './authenticated.ts';
import { makeHandle } from './handle.ts';
import type { RunOnce } from './idempotency.ts';
import { makeJsonBody } from './json-body.ts';
import type { RateLimiters } from './rate-limits.ts';
import { contextOf } from './context.ts';
import { type Route, rateClassOf } from './route.ts';

export interface MountDeps {
  readonly authenticated: RequestHandler;
  readonly limits: RateLimiters;
  readonly runOnce: RunOnce;
  readonly jobs: Jobs;
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

function mount(mounted: IRoute, route: Route, { authenticated, limits, runOnce, jobs }: MountDeps): void {
  const { access = 'user' } = route;
  const limit = access === 'public' ? undefined : limits.of(rateClassOf(route));
  const chain: (RequestHandler | undefined)[] = [
    makeMatched(route.path),
    access === 'public' ? undefined : authenticated,
    access === 'operator' ? operatorsOnly : undefined,
    limit,
    route.body === undefined ? undefined : makeJsonBody(route.bodyLimit ?? BODY_LIMIT_DEFAULT, jobs),
    route.weigh === undefined ? undefined : limits.ofBody(rateClassOf(route), route.weigh),
    makeHandle(route, runOnce),
  ];
  mounted[route.method](...chain.filter((handler) => handler !== undefined));
}

/** Notes the path template of the route. Logs and metrics contain the template instead of the path. */
function makeMatched(path: string): RequestHandler {
  return function matched(_req, res, next) {
    contextOf(res).route = path;
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
