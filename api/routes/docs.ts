import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { AppError, PROBLEMS, type ProblemCode } from '../../domain/errors.ts';
import { html, page } from '../reference/html.ts';
import { renderMarkdown } from '../reference/markdown.ts';
import { type OpenApiDocument, openApiDocument } from '../reference/openapi.ts';
import { referencePage } from '../reference/reference-page.ts';
import { textReply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';

const HTML = 'text/html; charset=utf-8';
const shared = { method: 'get', tag: 'Documentation', access: 'public', problems: [] } as const;
const ProblemParams = z.object({ code: z.enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]]) });

export interface DocsDeps {
  readonly version: string;
  /** With `reference/problems/<code>.md`. */
  readonly docsFolder: string;
}

/** The document of all routes, these included, and pages made from it. */
export function docsRoutes(others: readonly Route[], { version, docsFolder }: DocsDeps): Route[] {
  let made: { document: OpenApiDocument; json: string; reference: string } | undefined;
  // Made once, at the first request: most processes are never asked.
  const documents = (): NonNullable<typeof made> => {
    if (made !== undefined) return made;
    const document = openApiDocument([...others, ...routes], version);
    made = { document, json: JSON.stringify(document), reference: referencePage([...others, ...routes], document) };
    return made;
  };

  const openapi = defineRoute({
    ...shared,
    path: '/openapi.json',
    name: 'openapi',
    summary: 'This API as an OpenAPI 3.1 document',
    replies: { 200: { description: 'The document', mediaType: 'application/json', schema: z.looseObject({}) } },
    handle: () => Promise.resolve(textReply(200, 'application/json; charset=utf-8', documents().json)),
  });
  const reference = defineRoute({
    ...shared,
    path: '/docs',
    name: 'docs',
    summary: 'This API for people',
    replies: { 200: { description: 'A page', mediaType: 'text/html' } },
    handle: () => Promise.resolve(textReply(200, HTML, documents().reference)),
  });
  const problem = defineRoute({
    ...shared,
    path: '/docs/problems/{code}',
    name: 'problemPage',
    summary: 'What a problem means, and what to do',
    params: ProblemParams,
    replies: { 200: { description: 'A page', mediaType: 'text/html' } },
    problems: ['not-found'],
    handle: async ({ params: { code } }) => {
      const file = path.join(docsFolder, 'reference', 'problems', `${code}.md`);
      const source = await readFile(file, 'utf8').catch((error: unknown) => {
        throw new AppError('not-found', undefined, {}, { cause: error });
      });
      const content = html`<nav><a href="/docs">Parley API</a></nav>
        ${renderMarkdown(source)}`;
      return textReply(200, HTML, page(`${code} - Parley`, content));
    },
  });
  const routes = [openapi, reference, problem];
  return routes;
}
