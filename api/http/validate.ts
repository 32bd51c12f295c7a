import type { z } from 'zod';
import { AppError } from '../../domain/errors.ts';
import { shorten } from './shorten.ts';

/** Maximum number of wrong fields in an answer. */
const MAX_LISTED = 20;
/** Maximum length of a pointer, and of what is wrong there: both may contain names that the client chose. */
const MAX_CHARACTERS = 200;

/** Parses a value with a schema. @throws AppError `malformed`, which names every wrong field and never its value */
export function validate<T>(schema: z.ZodType<T>, value: unknown, where: 'body' | 'query'): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const errors = result.error.issues.slice(0, MAX_LISTED).map((issue) => ({
    pointer: shorten(issue.path.map((part) => `/${escapePointer(String(part))}`).join(''), MAX_CHARACTERS),
    message: shorten(messageOf(issue), MAX_CHARACTERS),
  }));
  const [first] = errors;
  const place = first === undefined || first.pointer === '' ? `the ${where}` : first.pointer;
  throw new AppError('malformed', `In ${place}: ${first?.message ?? 'not accepted'}`, { errors });
}

/** What is wrong. Of unknown fields, zod would name all. */
function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'unrecognized_keys' || issue.keys.length <= MAX_LISTED) return issue.message;
  const some = issue.keys.slice(0, MAX_LISTED).map((key) => JSON.stringify(shorten(key, MAX_CHARACTERS)));
  return `Unrecognized keys: ${some.join(', ')} and ${issue.keys.length - MAX_LISTED} more`;
}

/** Escapes a part of a JSON Pointer (RFC 6901 §3). */
function escapePointer(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Whether a value is a JSON object, and not an array or `null`. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
