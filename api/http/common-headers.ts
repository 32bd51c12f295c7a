import type { Request, RequestHandler, Response } from 'express';
import helmet from 'helmet';

/** A name and its value. */
type Header = readonly [name: string, value: string];

/** Forbids caches to store an answer, because it is for one user at one moment. A route may set another value. */
const NEVER_STORED: Header = ['Cache-Control', 'no-store'];

/**
 * Sets the headers that every answer has. During the shutdown, each connection is closed after its answer, so that clients
 * connect to another process.
 */
export function makeCommonHeaders(isDraining: () => boolean): RequestHandler {
  const headers = [...securityHeaders(), NEVER_STORED];
  return function commonHeaders(_req, res, next) {
    for (const [name, value] of headers) res.setHeader(name, value);
    if (isDraining()) res.setHeader('Connection', 'close');
    next();
  };
}

/**
 * Security headers for JSON and for pages that load nothing. These are fewer than helmet's defaults, because every answer
 * has them. Their values do not depend on the request, so helmet is asked once.
 */
export function securityHeaders(): Header[] {
  const headers: Header[] = [];
  const response = {
    setHeader: (name: string, value: string) => void headers.push([name, value]),
    removeHeader: () => undefined,
  };
  const setHeaders = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], styleSrc: ["'unsafe-inline'"], frameAncestors: ["'none'"] },
    },
    crossOriginOpenerPolicy: false,
    // `cross-origin.ts` sets it: it depends on the origin of the request.
    crossOriginResourcePolicy: false,
    originAgentCluster: false,
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xFrameOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
  });
  setHeaders(Object.create(null) as Request, response as unknown as Response, (error?: unknown) => {
    if (error !== undefined) throw error as Error;
  });
  return headers;
}
