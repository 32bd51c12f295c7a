import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { AppError, PROBLEMS, type ProblemCode } from '../../domain/errors.ts';
import { readExamples } from '../reference/examples.ts';
import { openApiDocument } from '../reference/openapi.ts';
import { problemPage } from '../reference/problem-page.ts';
import { REFERENCE_PAGE, REFERENCE_POLICY } from '../reference/reference-page.ts';
import { textReply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';

const HTML = 'text/html; charset=utf-8';
const shared = { method: 'get', tag: 'Documentation', access: 'public', problems: [] } as const;
const ProblemParams = z.object({
  code: z
    .enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]])
    .meta({ description: 'The `code` of the problem' }),
});

export interface DocsDeps {
  readonly version: string;
  /** With `reference/problems/<code>.md` and the recorded examples. */
  readonly docsFolder: string;
}

/** The OpenAPI document of all routes, these included, and pages for people. */
export function docsRoutes(others: readonly Route[], { version, docsFolder }: DocsDeps): Route[] {
  let json: string | undefined;
  // Made once, at the first request: most processes never get such a request.
  const documentJson = (): string =>
    (json ??= JSON.stringify(openApiDocument([...others, ...routes], version, readExamples(docsFolder))));

  const openapi = defineRoute({
    ...shared,
    path: '/openapi.json',
    name: 'openapi',
    summary: 'This API as an OpenAPI 3.1 document',
    description: 'For generators of clients, and for tools that try requests',
    replies: { 200: { description: 'The document', mediaType: 'application/json', schema: z.looseObject({}) } },
    handle: () => Promise.resolve(textReply(200, 'application/json; charset=utf-8', documentJson())),
  });
  const reference = defineRoute({
    ...shared,
    path: '/docs',
    name: 'docs',
    summary: 'This API for people',
    description: 'A page with search, curl examples, and requests that can be tried. It calls no other server',
    replies: { 200: { description: 'A page', mediaType: 'text/html' } },
    handle: () =>
      Promise.resolve({
        ...textReply(200, HTML, REFERENCE_PAGE),
        headers: { 'Content-Security-Policy': REFERENCE_POLICY },
      }),
  });
  const problem = defineRoute({
    ...shared,
    path: '/docs/problems/{code}',
    name: 'problemPage',
    summary: 'What a problem means, and what to do',
    description: 'The address of this page is the `type` of the problem',
    params: ProblemParams,
    replies: { 200: { description: 'A page', mediaType: 'text/html' } },
    problems: ['not-found'],
    handle: async ({ params: { code } }) => {
      const file = path.join(docsFolder, 'reference', 'problems', `${code}.md`);
      const source = await readFile(file, 'utf8').catch((error: unknown) => {
        throw new AppError('not-found', undefined, {}, { cause: error });
      });
      return textReply(200, HTML, problemPage(code, source));
    },
  });
  const routes = [openapi, reference, problem];
  return routes;
}
