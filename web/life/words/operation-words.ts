import type { LifeOperation } from '../life-event.ts';
import { durationWords, type Fact, plainWords } from './fact.ts';
import { reasonWords } from './reasons.ts';

/** What was asked, as the subject of a sentence. */
const KINDS = new Map([
  ['message', 'A message'],
  ['commit', 'A commit'],
  ['group-info', 'A picture of the group for joiners (GroupInfo)'],
  ['leave', 'A wish to leave'],
  ['join-request', 'A request to join'],
  ['read', 'A read mark'],
  ['increment', 'An unread increment'],
  ['role', 'A change of role'],
  ['policy', 'A change of the rules'],
  ['bar', 'A bar against coming back'],
  ['report', 'A report of an unreadable entry'],
  ['reset', 'A reset of the group'],
  ['delete', 'The deletion of the conversation'],
]);

/** Refusals that are a part of normal life. Others are shown with their code. */
const REFUSALS = new Map([
  ['epoch-conflict', 'another commit came first. Its sender follows that one and tries again'],
  ['epoch-too-old', 'its epoch has ended. Its sender encrypts it anew'],
  ['epoch-ahead', 'its epoch has not begun'],
  ['removal-pending', 'somebody who leaves must be removed first'],
  ['not-found', 'its sender is no member'],
  ['not-allowed', 'the rules of the conversation do not allow it'],
  ['deadline', 'nobody could decide it in time. Its sender tries again with the same id'],
  ['unavailable', 'a part did not answer. Its sender tries again with the same id'],
  ['overloaded', 'there is too much to do. Its sender tries again with the same id'],
  ['expired', 'it came too late'],
  ['log-restarted', 'the database was restored. Its sender repairs the group and sends it again'],
  ['rate-limited', 'its sender asks too much'],
]);
/** The sender tries these again by itself. */
const PASSING = new Set([
  'epoch-conflict',
  'epoch-too-old',
  'deadline',
  'unavailable',
  'overloaded',
  'removal-pending',
  'log-restarted',
]);

/** Whether an operation happens beside what people do. */
export function isMinor({ kind }: LifeOperation): boolean {
  return kind === 'read' || kind === 'increment';
}

/** What an operation is called. */
export function operationName(kind: string): string {
  return KINDS.get(kind) ?? `An operation (${plainWords(kind)})`;
}

/** What became of an operation, and which way it went, in words. */
export function operationFact(event: LifeOperation): Fact {
  const { at, operation, path, reason, outcome, epoch, ms } = event;
  const details: [string, string][] = [
    ['Operation id', operation],
    ['Way', path ?? 'none: it was answered before'],
  ];
  const why = reasonWords(reason);
  if (why !== undefined) details.push(['Why this way', why]);
  details.push(['Outcome', outcome], ['Time to the answer', durationWords(ms)]);
  if (epoch !== undefined) details.push(['Epoch', String(epoch)]);
  // One operation can be answered more than once: a retry is a `duplicate`.
  return {
    key: `operation:${operation}:${at}:${outcome}`,
    at,
    kind: 'operation',
    isMinor: isMinor(event),
    ...outcomeWords(event),
    details,
  };
}

function outcomeWords(event: LifeOperation): Pick<Fact, 'text' | 'tone'> {
  const { kind, path, reason, outcome, seq, ms } = event;
  const subject = operationName(kind);
  if (outcome === 'accepted') {
    const place = seq === undefined ? 'accepted' : `accepted as number ${seq} of the log`;
    if (path !== 'direct')
      return { text: `${subject} was ${place} after ${durationWords(ms)}, by the workflow`, tone: 'good' };
    const why = reasonWords(reason);
    const text = `${subject} was ${place} after ${durationWords(ms)}, directly by the API${why === undefined ? '' : `: ${why}`}`;
    return { text, tone: 'good' };
  }
  if (outcome === 'duplicate')
    return { text: `${subject} came again and got its first answer: nothing is doubled`, tone: 'plain' };
  const words = REFUSALS.get(outcome) ?? outcome;
  return { text: `${subject} was refused: ${words}`, tone: PASSING.has(outcome) ? 'warning' : 'bad' };
}

/** The same in short, for a caption: "A message: number 12 of the log, after 9 ms, by the workflow". */
export function operationCaption(event: LifeOperation): string {
  const { kind, path, outcome, seq, ms } = event;
  if (outcome !== 'accepted') return outcomeWords(event).text;
  const place = seq === undefined ? 'accepted' : `number ${seq} of the log`;
  return `${operationName(kind)}: ${place}, after ${durationWords(ms)}, ${path === 'direct' ? 'directly' : 'by the workflow'}`;
}
