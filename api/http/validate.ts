import type { z } from 'zod';
import { AppError } from '../../domain/errors.ts';

/** Maximum number of wrong fields in an answer. */
const MAX_LISTED = 20;

/** Parses a value with a schema. @throws AppError `malformed`, which names every wrong field and never its value */
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

/** Escapes a part of a JSON Pointer (RFC 6901 §3). */
function escapePointer(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Whether a value is a JSON object, and not an array or `null`. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
