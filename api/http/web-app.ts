import type { RequestHandler } from 'express';
import { AppError } from '../../domain/errors.ts';
import { contextOf } from './context.ts';
import { staticFiles } from './static-files.ts';

/** Path of the web app. */
export const WEB_APP_PATH = '/app';

export interface WebAppOptions {
  /** What `npm run build` made of `web/`. */
  readonly folder: string;
  /** What the page must know about the place in which it runs. It holds no secret: everybody may read it. */
  readonly config: {
    /** URL of the control server of the local stack. */
    readonly control?: string | undefined;
  };
}

/** Names of these files have a hash of their content. */
const HASHED = '/assets/';
const FOREVER = 'public, max-age=31536000, immutable';

/**
 * Only files of this origin, requests only to this API and to the control server, and nothing inline. Scripts can make no HTML from
 * text: the one policy of trusted types is for the address of the service worker.
 */
function contentPolicy(control: string | undefined): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "manifest-src 'self'",
    "worker-src 'self'",
    `connect-src ${["'self'", ...(control === undefined ? [] : [new URL(control).origin])].join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types parley',
  ].join(';');
}

/** Serves the web app: its files, and `config.json`. Everything else below its path is not found. */
export function webApp({ folder, config }: WebAppOptions): RequestHandler {
  const policy = contentPolicy(config.control);
  const serve = staticFiles(folder, {
    redirect: false,
    setHeaders: (response, file) => {
      const isHashed = file.slice(folder.length).replaceAll('\\', '/').startsWith(HASHED);
      response.setHeader('Cache-Control', isHashed ? FOREVER : 'no-cache');
    },
  });
  return function webAppFile(req, res, next) {
    contextOf(res).route = WEB_APP_PATH;
    res.setHeader('Content-Security-Policy', policy);
    // A page that it opens, or that opened it, cannot reach into it.
    res.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD');
      throw new AppError('method-not-allowed', 'Only GET, HEAD are supported here');
    }
    if (req.path === '/config.json') {
      res.json(config);
    } else if (req.originalUrl.split('?')[0] === WEB_APP_PATH) {
      // Its files have addresses below it.
      res.redirect(308, `${WEB_APP_PATH}/${req.originalUrl.slice(WEB_APP_PATH.length)}`);
    } else {
      serve(req, res, next);
    }
  };
}
