import type { z } from 'zod';
import { AppError } from '../../domain/errors.ts';

/** At most this many single problems are listed. */
const MAX_LISTED = 20;

/** Parses by a schema. @throws AppError `malformed` that names every field, never its value */
export function validate<T>(schema: z.ZodType<T>, value: unknown, where: 'body' | 'query'): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.slice(0, MAX_LISTED).map((issue) => ({
    pointer: issue.path.map((part) => `/${escapePointer(String(part))}`).join(''),
    message: issue.message,
  }));
  const [first] = errors;
  const place = first === undefined || first.pointer === '' ? `the ${where}` : first.pointer;
  throw new AppError('malformed', `In ${place}: ${first?.message ?? 'not accepted'}`, { errors });
}

/** RFC 6901. */
function escapePointer(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}
