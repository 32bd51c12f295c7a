import path from 'node:path';
import { packageRoot } from '../process/package-root.ts';
import { type AppDeps, makeRoutes } from './app.ts';
import { readExamples } from './reference/examples.ts';
import { openApiDocument } from './reference/openapi.ts';

/** The OpenAPI document as it is checked in. */
export function documentText(version: string): string {
  // Nothing is called: routes are only looked at.
  const docsFolder = path.join(packageRoot(), 'docs');
  const routes = makeRoutes({ version, docsFolder } as AppDeps);
  return `${JSON.stringify(openApiDocument(routes, version, readExamples(docsFolder)), undefined, 2)}\n`;
}
