import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { COMMAND_KINDS } from '../../../domain/command.ts';
import { ACTIONS } from '../../../domain/supervision/state.ts';
import { TROUBLE_SIGNS } from '../../../domain/trouble.ts';
import { DIVERSION_REASONS } from '../../../dispatch/executor.ts';
import type { LifeEvent, LifeHistory, LifeOperation } from '../../../web/life/life-event.ts';
import { durationWords, FACT_KINDS, KIND_WORDS, sizeWords } from '../../../web/life/words/fact.ts';
import { factOf } from '../../../web/life/words/fact-words.ts';
import { historyFact, KNOWN_HISTORY_KINDS } from '../../../web/life/words/history-words.ts';
import { operationCaption, operationFact, operationName } from '../../../web/life/words/operation-words.ts';
import { reasonWords } from '../../../web/life/words/reasons.ts';

const history = (kind: string, more: Partial<LifeHistory> = {}): LifeHistory => ({
  ...{ type: 'history', at: 1, runId: 'run', eventId: 5, kind, facts: {} },
  ...more,
});
const operation = (more: Partial<LifeOperation> = {}): LifeOperation => ({
  ...{ type: 'operation', at: 1, operation: 'm1', kind: 'message', path: 'workflow', reason: 'auto' },
  ...{ outcome: 'accepted', seq: 12, epoch: 3, ms: 9 },
  ...more,
});
const wordsOf = (event: LifeEvent): string | undefined => factOf(event, {})?.text;

describe('each kind of history event', () => {
  // The stream names the kinds in this file.
  const source = readFileSync('dispatch/history-fact.ts', 'utf8');
  const kinds = [...new Set([...source.matchAll(/kind: '(\w+)'/g)].map(([, kind = '']) => kind))];

  test('has a sentence', () => {
    expect(kinds.length).toBeGreaterThan(20);
    expect(kinds.filter((kind) => !KNOWN_HISTORY_KINDS.includes(kind))).toEqual([]);
    for (const kind of kinds) expect(historyFact(history(kind)).text).not.toContain('In the history');
  });

  test('that Temporal adds later has its name, as words', () => {
    expect(historyFact(history('nexusOperationStarted')).text).toBe('In the history: nexus operation started');
  });
});

test.each([
  [
    history('updateAccepted', { name: 'sendMessages', facts: { operations: 3 } }),
    'The API gave the workflow 3 operations at once (update sendMessages: messages and read marks)',
  ],
  [history('updateCompleted'), 'The workflow answered an update: it is decided'],
  [
    history('updateCompleted', { facts: { failure: 'closing' } }),
    'The workflow gave an update back undecided: the run is ending, and the next run takes it',
  ],
  [
    history('localActivity', { name: 'apply', facts: { attempt: 1 } }),
    'Local activity: one transaction in Postgres decided the batch',
  ],
  [
    history('localActivity', { name: 'apply', facts: { attempt: 4 } }),
    'Local activity: one transaction in Postgres decided the batch, at try 4',
  ],
  [
    history('localActivity', { name: 'apply', facts: { failed: true } }),
    'Local activity apply failed: Postgres gave no decision',
  ],
  [
    history('timerStarted', { name: 'idle: the run completes', facts: { ms: 30_000 } }),
    'Timer 30 s started: idle: the run completes',
  ],
  [history('continuedAsNew'), 'The workflow continued as new: its history is short again'],
  [
    history('started', { facts: { continuedFrom: 'other' } }),
    'A new run goes on where the old one stopped, with a short history',
  ],
  [
    history('terminated', { facts: { reason: 'a test' } }),
    'The run was terminated. The next operation starts a new one from Postgres: a test',
  ],
  [operation(), 'A message was accepted as number 12 of the log after 9 ms, by the workflow'],
  [
    operation({ path: 'direct', reason: 'breaker' }),
    'A message was accepted as number 12 of the log after 9 ms, directly by the API: Temporal does not answer',
  ],
  [
    operation({ kind: 'commit', outcome: 'epoch-conflict' }),
    'A commit was refused: another commit came first. Its sender follows that one and tries again',
  ],
  [operation({ outcome: 'duplicate' }), 'A message came again and got its first answer: nothing is doubled'],
  [
    { type: 'trouble', at: 1, part: 'temporal', code: 'unavailable' } as const,
    'Temporal does not answer. The API decides by itself until it answers',
  ],
  [{ type: 'recovered', at: 1, part: 'postgres' } as const, 'Postgres answers again'],
  [
    { type: 'supervisor', at: 1, action: 'restart', reason: 'timeouts' } as const,
    'The supervisor restarted the workflow: the workflow does not answer, those of others do',
  ],
  [
    { type: 'log-restarted', at: 1, lastSeq: 5, oldestSeq: 1 } as const,
    'The database was restored: the log ends at number 5 now. Devices notice it and send again what was lost',
  ],
  [
    { type: 'entry', at: 1, seq: 7, kind: 'application', epoch: 3, bytes: 312, sha256: 'ab' } as const,
    'Number 7 of the log: an encrypted message of 312 bytes',
  ],
  [
    { type: 'entry', at: 1, seq: 3, kind: 'commit', epoch: 2, bytes: 2100, sha256: 'ab' } as const,
    'Number 3 of the log: a commit of 2.1 KB. It ended epoch 2',
  ],
  [
    { type: 'entry', at: 1, seq: 7, kind: 'application', epoch: 3, sha256: 'ab', deleted: 'deleted' } as const,
    'The body of number 7 is gone (somebody deleted it). Its place, hash and chain stay',
  ],
])('%o in words', (event, words) => {
  expect(wordsOf(event)).toBe(words);
});

test('every kind of operation has a name', () => {
  expect(COMMAND_KINDS.filter((kind) => operationName(kind).startsWith('An operation ('))).toEqual([]);
});

test('every reason to leave the workflow has words', () => {
  expect(DIVERSION_REASONS.filter((reason) => reasonWords(reason) === reason)).toEqual([]);
});

test('every action of the supervisor and every sign has words', () => {
  const told = (action: string, reason: string): string => wordsOf({ type: 'supervisor', at: 1, action, reason }) ?? '';
  expect(['sees', ...ACTIONS].filter((action) => told(action, 'timeouts').startsWith('Supervisor:'))).toEqual([]);
  const unsaid = TROUBLE_SIGNS.filter((sign) => told('report', sign).endsWith(`: ${sign.replaceAll('-', ' ')}`));
  expect(unsaid).toEqual([]);
});

test('a head is news only if the way changes', () => {
  const head = {
    ...({ type: 'head', at: 1, state: 'active', protocol: 'mls' } as const),
    ...{ epoch: 1, lastSeq: 1, oldestSeq: 1, members: 1 },
    mailbox: { waiting: 0, inFlight: 0, staged: 0, increments: 0 },
    path: { mode: 'auto', now: 'workflow' },
  } as const;
  expect(factOf(head, { head })).toBeUndefined();
  const direct = { ...head, path: { mode: 'auto', now: 'direct', reason: 'breaker' } } as const;
  expect(factOf(direct, { head })?.text).toBe(
    'Operations go directly from the API to Postgres: Temporal does not answer.',
  );
  expect(factOf(head, { head: direct })?.text).toBe('Operations go through the workflow again');
});

test('details say why a way was taken', () => {
  expect(operationFact(operation({ path: 'direct', reason: 'wait' })).details).toContainEqual([
    'Why this way',
    'it had waited for 25 ms, and nobody should wait long',
  ]);
  expect(operationCaption(operation())).toBe('A message: number 12 of the log, after 9 ms, by the workflow');
});

test('sizes and times are short', () => {
  expect([1, 999, 1200, 5_000_000].map(sizeWords)).toEqual(['1 byte', '999 bytes', '1.2 KB', '5.0 MB']);
  expect([9, 1500, 30_000, 600_000, 86_400_000, 2_592_000_000].map(durationWords)).toEqual([
    ...['9 ms', '1.5 s', '30 s', '10 min', '24 h', '30 days'],
  ]);
  expect(FACT_KINDS.filter((kind) => KIND_WORDS[kind].label === '')).toEqual([]);
});
