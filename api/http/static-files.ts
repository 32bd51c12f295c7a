import express, { type RequestHandler } from 'express';
import { AppError } from '../../domain/errors.ts';

export type StaticFilesOptions = Pick<
  NonNullable<Parameters<typeof express.static>[1]>,
  'index' | 'redirect' | 'setHeaders'
>;

/** Serves whole files of a folder. What is no file there goes to the next handler. */
export function staticFiles(folder: string, options: StaticFilesOptions): RequestHandler {
  const serve = express.static(folder, { ...options, acceptRanges: false });
  return function staticFile(req, res, next) {
    serve(req, res, (error?: unknown) => {
      if (error === undefined) {
        next();
        return;
      }
      if (!res.headersSent) {
        // What was set for the file is not true of the problem.
        for (const name of ['ETag', 'Last-Modified']) res.removeHeader(name);
        res.setHeader('Cache-Control', 'no-store');
      }
      next(problemOf(error));
    });
  };
}

/** Of an error of `send`, which has a status. */
function problemOf(error: unknown): unknown {
  const { status } = error as { readonly status?: unknown };
  if (status === 412)
    return new AppError('malformed', 'The file is not the one that If-Match or If-Unmodified-Since means');
  // It was removed while it was looked for.
  return status === 404 ? new AppError('not-found') : error;
}
