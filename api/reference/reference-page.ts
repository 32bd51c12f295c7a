import { createRequire } from 'node:module';
import path from 'node:path';
import type { RequestHandler } from 'express';
import { contextOf } from '../http/context.ts';
import { staticFiles } from '../http/static-files.ts';

const require = createRequire(import.meta.url);

/** Path of the files that the page loads. */
export const ASSETS_PATH = '/docs/assets';
/** Scalar's browser bundle, with its styles. The Fastify plugin is the smallest package that has this file; the plugin itself is not used. */
const ASSETS_FOLDER = path.join(path.dirname(require.resolve('@scalar/fastify-api-reference')), 'js');

/**
 * Lets the page run its script and call this API. Browsers refuse every other address, so that neither a token nor a visit
 * becomes known outside this process. The script adds its own styles to the page, and needs `data:` for icons.
 */
export const REFERENCE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'unsafe-inline'",
  'img-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join(';');

/** Turns off each feature of Scalar that calls its vendor's servers. Tokens stay in the memory of the page. */
const CONFIGURATION = {
  agent: { disabled: true },
  telemetry: false,
  withDefaultFonts: false,
  proxyUrl: '',
  hideClientButton: true,
  showDeveloperTools: 'never',
  persistAuth: false,
  authentication: { preferredSecurityScheme: 'bearer' },
  defaultHttpClient: { targetKey: 'shell', clientKey: 'curl' },
  metaData: { title: 'Parley API' },
};

/**
 * Takes a token from the fragment of the address, `/docs#token=<token>`, and fills it into the page. Browsers never send a
 * fragment to a server. It is removed from the address, so that neither the history nor a copied address has it.
 */
export const START_SCRIPT = `(() => {
  const token = /^#token=([\\w.-]+)$/.exec(location.hash);
  if (token === null) return;
  history.replaceState(null, '', location.pathname);
  const { dataset } = document.getElementById('api-reference');
  const configuration = JSON.parse(dataset.configuration);
  configuration.authentication.securitySchemes = { bearer: { token: token[1] } };
  dataset.configuration = JSON.stringify(configuration);
})();
`;
const START_PATH = '/start.js';

/** The API reference for people: Scalar shows the OpenAPI document with a search, curl examples and forms to try requests. */
export const REFERENCE_PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Parley API</title>
    <link rel="icon" href="data:,">
  </head>
  <body>
    <noscript>This page needs JavaScript. The same content without it: <a href="/openapi.json">/openapi.json</a></noscript>
    <script id="api-reference" data-url="/openapi.json" data-configuration='${JSON.stringify(CONFIGURATION)}'></script>
    <script src="${ASSETS_PATH}${START_PATH}"></script>
    <script src="${ASSETS_PATH}/standalone.js"></script>
  </body>
</html>
`;

/** Serves the files that the page loads. They change only with a release: browsers keep them for an hour, then compare the ETag. */
export function referenceAssets(): RequestHandler {
  const serve = staticFiles(ASSETS_FOLDER, {
    index: false,
    redirect: false,
    setHeaders: (response) => response.setHeader('Cache-Control', 'public, max-age=3600'),
  });
  return function asset(req, res, next) {
    contextOf(res).route = ASSETS_PATH;
    if (req.path === START_PATH && (req.method === 'GET' || req.method === 'HEAD')) {
      res.type('text/javascript').send(START_SCRIPT);
    } else {
      serve(req, res, next);
    }
  };
}
