import { ensureError } from '../domain/errors.ts';

/** What was thrown, in words for a person: the message of an error, else the value as text. */
export function messageOf(thrown: unknown): string {
  return ensureError(thrown).message;
}
