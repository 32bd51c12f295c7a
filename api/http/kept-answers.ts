import { randomUUID } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, RequestListener, ServerResponse } from 'node:http';
import { HEADERS_OF_ORIGIN } from './cross-origin.ts';
import { requestIdOf } from './request-id.ts';

/** Answers kept at a time. Only the service chooses their paths. */
const MOST = 16;
/** Headers that each answer has of its own. */
const OF_ONE_REQUEST: ReadonlySet<string> = new Set(['x-request-id', ...HEADERS_OF_ORIGIN]);

interface Kept {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly content: string;
  /** Milliseconds, by `performance.now`. */
  readonly until: number;
}

/** Answers that are the same for everybody for a short time. */
export interface KeptAnswers {
  /**
   * Keeps an answer that is about to be sent, with its headers.
   * @param forMs milliseconds
   */
  readonly keep: (request: IncomingMessage, response: ServerResponse, content: string, forMs: number) => void;
  /**
   * Gives kept answers before anything else is done with a request: anybody may ask as often as it likes, and the whole way through
   * the app would take ten times as long.
   * @param isDraining while it is true, nothing kept is given
   */
  readonly before: (app: RequestListener, isDraining: () => boolean) => RequestListener;
}

/** @param now milliseconds */
export function makeKeptAnswers(now: () => number = () => performance.now()): KeptAnswers {
  const answers = new Map<string, Kept>();
  return {
    keep: (request, response, content, forMs) => {
      const path = pathOf(request);
      if (answers.size >= MOST && !answers.has(path)) return;
      const headers = Object.fromEntries(
        Object.entries(response.getHeaders()).filter(([name]) => !OF_ONE_REQUEST.has(name)),
      );
      answers.set(path, { status: response.statusCode, headers, content, until: now() + forMs });
    },
    before: (app, isDraining) => (request, response) => {
      const kept = request.method === 'GET' || request.method === 'HEAD' ? answers.get(pathOf(request)) : undefined;
      if (kept === undefined || now() >= kept.until || isDraining()) return app(request, response);
      response.setHeader('X-Request-Id', requestIdOf(request) ?? randomUUID());
      // HEAD: node leaves out the content.
      response.writeHead(kept.status, kept.headers).end(kept.content);
    },
  };
}

/** The query is not looked at, so it must not lead around a kept answer. */
function pathOf({ url = '' }: IncomingMessage): string {
  const end = url.indexOf('?');
  return end === -1 ? url : url.slice(0, end);
}
