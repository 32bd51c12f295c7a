import type pg from 'pg';
import { expect, onTestFinished, test, vi } from 'vitest';
import { AppError } from '../../../domain/errors.ts';
import { makeSendSignal } from '../../../api/services/send-signal.ts';

interface Statement {
  readonly bytes: number[];
  readonly answer: (refusals?: readonly (object | null)[]) => void;
  readonly fail: (error: Error) => void;
}

/** A database that answers when the test says so. */
function setUp(): {
  readonly statements: Statement[];
  readonly send: (bytes?: number) => Promise<string>;
  readonly sent: () => number;
} {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const statements: Statement[] = [];
  let sent = 0;
  const query = ({ values }: { readonly values: readonly string[][] }): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const bytes = (values[2] ?? []).map((data) => Buffer.from(data, 'base64').length);
      const answer: Statement['answer'] = (refusals = bytes.map(() => null)) =>
        resolve({ rows: refusals.map((refusal) => ({ refusal })) });
      statements.push({ bytes, answer, fail: reject });
    });
  const sendSignal = makeSendSignal({
    pool: { query } as unknown as pg.Pool,
    metrics: { signalsSent: (count) => (sent += count) },
    now: () => Date.now(),
  });
  const send = (bytes = 100): Promise<string> =>
    sendSignal({ conversation: 'AAAA', user: 'alice', data: Buffer.alloc(bytes) }).then(
      () => 'sent',
      (error: unknown) => (error instanceof AppError ? error.code : String(error)),
    );
  return { statements, send, sent: () => sent };
}

test('one statement runs at a time; what comes meanwhile goes together into the next', async () => {
  const { statements, send, sent } = setUp();
  const all = [send(), send(), send()];
  expect(statements.map(({ bytes }) => bytes.length)).toEqual([1]);
  await vi.advanceTimersByTimeAsync(500);
  expect(statements).toHaveLength(1);
  statements[0]?.answer();
  await vi.advanceTimersByTimeAsync(3);
  expect(statements.map(({ bytes }) => bytes.length)).toEqual([1, 2]);
  statements[1]?.answer([null, { status: 'refused', code: 'removed', seq: 4 }]);
  expect(await Promise.all(all)).toEqual(['sent', 'sent', 'removed']);
  expect(sent()).toBe(2);
});

test('a statement has some bytes only, and a second too: what does not fit waits', async () => {
  const { statements, send } = setUp();
  const all = Array.from({ length: 40 }, () => send(4096));
  statements[0]?.answer();
  await vi.advanceTimersByTimeAsync(4);
  const [, second] = statements;
  expect(second?.bytes).toHaveLength(16);
  second?.answer();
  // 64 KB are the sixteenth part of a second.
  await vi.advanceTimersByTimeAsync(61);
  expect(statements).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(2);
  expect(statements).toHaveLength(3);
  statements[2]?.answer();
  await vi.advanceTimersByTimeAsync(100);
  statements[3]?.answer();
  expect(new Set(await Promise.all(all))).toEqual(new Set(['sent']));
});

test('what would wait too long, or stand behind too many, is refused', async () => {
  const { statements, send } = setUp();
  const first = send();
  const waiting = Array.from({ length: 256 }, () => send());
  expect(await send()).toBe('overloaded');
  await vi.advanceTimersByTimeAsync(1001);
  statements[0]?.answer();
  await vi.advanceTimersByTimeAsync(10);
  expect(await first).toBe('sent');
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['overloaded']));
  expect(statements).toHaveLength(1);
  const next = send();
  await vi.advanceTimersByTimeAsync(3);
  statements[1]?.answer();
  expect(await next).toBe('sent');
});

test('a failure of the database concerns only the signals of its statement', async () => {
  const { statements, send } = setUp();
  const [one, two] = [send(), send()];
  statements[0]?.fail(new Error('gone'));
  await vi.advanceTimersByTimeAsync(3);
  statements[1]?.answer();
  expect(await Promise.all([one, two])).toEqual(['Error: gone', 'sent']);
});
