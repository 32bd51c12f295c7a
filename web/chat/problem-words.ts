import type { Problem } from '../../client/index.ts';
import { ProblemError } from '../../client/index.ts';

/** What went wrong, for people. */
export interface ProblemWords {
  readonly text: string;
  /** Code of the catalogue; its page says more. */
  readonly code?: string;
}

const WORDS = new Map([
  ['not-allowed', 'The rules of this conversation do not allow this.'],
  ['consent-required', 'This person takes invitations only from people whom they know. They can see that you asked.'],
  ['removed', 'You were removed from this conversation.'],
  ['not-found', 'There is no such conversation, or you may not see it.'],
  ['group-info-missing', 'Nobody can join at the moment: the group has just changed. Try again.'],
  ['epoch-conflict', 'Somebody else changed the group at the same moment. Try again.'],
  ['rate-limited', 'That was too much at once. Wait a moment, then try again.'],
  ['overloaded', 'The service has too much to do. Try again in a moment.'],
  ['unavailable', 'A part of the service does not answer. Try again in a moment.'],
  ['deadline', 'The service could not decide in time. Try again.'],
  ['internal', 'The service made a mistake. Try again, or tell its operator.'],
  ['too-large', 'This is too large.'],
  ['too-many-members', 'This conversation has as many members as it may have.'],
  ['superseded', 'Another conversation replaced this one.'],
  ['unauthenticated', 'The service does not accept your token. Sign in again.'],
  ['identity-mismatch', 'The service says that this device is not yours.'],
  ['key-package-stale', 'The keys of this person have changed meanwhile. Try again.'],
  ['log-restarted', 'The service was restored to an older state. This device repairs the conversation.'],
  ['history-truncated', 'The service does not have these messages any more.'],
  ['push-not-offered', 'This service wakes no browsers.'],
]);

/** Texts of errors that are no answers of the service, by their names. */
const NAMES = new Map([
  ['TypeError', 'The service cannot be reached. Check your network.'],
  ['TimeoutError', 'The service did not answer in time.'],
  ['UntrustedDeviceError', 'A device of this person has other keys than before. It was not added.'],
  ['IdentityChangedError', 'The group names somebody under a key of somebody else. Nothing was changed.'],
  [
    'GroupRefusesJoinersError',
    'Nobody can join at the moment. Try again when one of the members has changed their keys.',
  ],
  ['OldGroupInfoError', 'The service gave an old state of the group. Try again.'],
]);

/** An answer of the service in a text of the client library: `503 unavailable: No worker answers`. */
const ANSWER = /^(\d{3}) ([a-z-]+): (.+)$/s;

/** Says what an error means. Errors of other tabs have only their text. */
export function wordsOf(error: unknown): ProblemWords {
  if (error instanceof ProblemError) return ofCode(error.code, error.message);
  if (!(error instanceof Error)) return { text: String(error) };
  const known = NAMES.get(error.name);
  // Browsers and the switch say in their own words that there is no network.
  if (known !== undefined) return { text: known };
  return wordsOfText(error.message);
}

/** The same for the text of an error. */
export function wordsOfText(text: string): ProblemWords {
  const answer = ANSWER.exec(text);
  if (answer !== null) return ofCode(answer[2] ?? '', text);
  if (/fetch|network|load failed/i.test(text)) return { text: NAMES.get('TypeError') ?? text };
  return { text };
}

/** The same for the problem of a refused message. */
export function wordsOfProblem({ code, title, detail }: Problem): ProblemWords {
  return { text: WORDS.get(code) ?? detail ?? title, code };
}

/** The page about a problem, which every API serves. */
export const problemPage = (code: string): string => `/docs/problems/${encodeURIComponent(code)}`;

function ofCode(code: string, message: string): ProblemWords {
  const text = WORDS.get(code) ?? ANSWER.exec(message)?.[3] ?? message;
  return code === 'unknown' ? { text } : { text, code };
}

const MISSING = new Map([
  ['no-devices', 'is not known here. They must open the chat once'],
  ['exhausted', 'has no keys left on the service. They must open the chat once'],
  ['consent-required', 'takes invitations only from people whom they know. They can see that you asked'],
  ['rate-limited', 'was invited too often. Try again in a minute'],
  ['left-over', 'was left out this time. Add them again'],
]);

/** Why a user could not be added: what comes after the name. */
export function missingWords(code: string): string {
  return `${MISSING.get(code) ?? `could not be added (${code})`}.`;
}
