import { type AppDeps, makeRoutes } from './app.ts';
import { openApiDocument } from './reference/openapi.ts';

/** The OpenAPI document as it is checked in. */
export function documentText(version: string): string {
  // Nothing is called: routes are only looked at.
  const routes = makeRoutes({ version, docsFolder: '' } as AppDeps);
  return `${JSON.stringify(openApiDocument(routes, version), undefined, 2)}\n`;
}
