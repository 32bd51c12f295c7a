import { expect } from 'vitest';
import { problemCodes } from '../../../api/reference/openapi.ts';
import type { Route } from '../../../api/http/route.ts';
import { Problem } from '../../../api/schemas/problem.ts';
import { PROBLEMS, type ProblemCode } from '../../../domain/errors.ts';
import type { Answer } from '../../../tools/harness/answer.ts';

/** Codes that stand for what the router itself refuses. */
const ROUTER_CODES: readonly string[] = ['not-found', 'method-not-allowed', 'malformed'];

/** Holds every answer of a test against the schemas from which the OpenAPI document is made. */
export function makeContract(routes: readonly Route[]): (method: string, target: string, answer: Answer) => void {
  const templates = routes.map((route) => ({
    route,
    pattern: new RegExp(`^${route.path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}/?$`),
  }));
  return (method, target, answer) => {
    const [path = ''] = target.split('?');
    const wanted = method === 'HEAD' ? 'get' : method.toLowerCase();
    const found = templates.find(({ route, pattern }) => route.method === wanted && pattern.test(path));
    expect(answer.headers.get('x-request-id')).toBeTruthy();
    if (answer.headers.get('content-type')?.startsWith('application/problem+json') === true) {
      checkProblem(found?.route, answer);
    } else if (found !== undefined && method !== 'HEAD') {
      checkReply(found.route, answer);
    }
  };
}

function checkProblem(route: Route | undefined, { status, headers, body }: Answer): void {
  expect(Problem.parse(body)).toEqual(body);
  const { code, requestId } = body as { code: ProblemCode; requestId: string };
  expect(body).toMatchObject({ status, title: PROBLEMS[code].title, type: `/docs/problems/${code}` });
  expect(requestId).toBe(headers.get('x-request-id'));
  const documented = route === undefined ? [] : problemCodes(route);
  expect([...documented, ...ROUTER_CODES]).toContain(code);
  if (status === 429 || status === 503) expect(headers.get('retry-after')).toMatch(/^\d+$/);
  if (status === 409 && code.startsWith('epoch-')) {
    expect(body).toMatchObject({
      currentEpoch: expect.any(Number) as number,
      submittedEpoch: expect.any(Number) as number,
    });
  }
}

/** Schemas of answers drop unknown fields, so equality also finds what is not documented. */
function checkReply(route: Route, { status, headers, body, text }: Answer): void {
  const documented = route.replies[status];
  expect(documented, `${route.name} answers ${status}`).toBeDefined();
  const { schema, mediaType } = documented ?? {};
  // The events of a stream are checked where they are read (test/harness/streams).
  if (mediaType === 'text/event-stream') return;
  if (schema !== undefined) expect(schema.parse(body)).toEqual(body);
  else if (mediaType === undefined) expect(text).toBe('');
  if (mediaType !== undefined) expect(headers.get('content-type')).toContain(mediaType);
}
