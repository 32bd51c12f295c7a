import { expect, test } from 'vitest';
import { makePool } from '../../../store/pool.ts';
import { isRetryable } from '../../../store/sqlstate.ts';
import { useDatabase } from '../../harness/database.ts';
import { startConversation } from '../../harness/requests.ts';

const database = useDatabase();

function databaseError(code: string): Error {
  return Object.assign(new Error('from the database'), { code });
}

test.each([
  ...['08006', '25006', '3D000', '40001', '40P01', '53100', '53300', '55000', '55P03'],
  ...['57014', '57P01', '57P02', '57P03', '58030'],
])('SQLSTATE %s may go away by itself', (code) => expect(isRetryable(databaseError(code))).toBe(true));

test.each(['22P02', '23505', '42601', '42P01', '42883', 'PA001', '0A000', '28P01', 'XX000'])(
  'SQLSTATE %s is a defect',
  (code) => expect(isRetryable(databaseError(code))).toBe(false),
);

test.each(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'])(
  'the network error %s may go away by itself',
  (code) => expect(isRetryable(databaseError(code))).toBe(true),
);

test('a mix of errors is retryable only when each of them is', () => {
  const both = (...codes: string[]): AggregateError => new AggregateError(codes.map(databaseError));
  expect(isRetryable(both('ECONNREFUSED', 'ECONNREFUSED'))).toBe(true);
  expect(isRetryable(both('ECONNREFUSED', '42601'))).toBe(false);
});

test('what is not an error, or not of the database, is a defect', () => {
  for (const thrown of [undefined, 'timeout', new TypeError('x is not a function')])
    expect(isRetryable(thrown)).toBe(false);
});

test('a lock that is held too long, a killed session and a server that is away are retryable as they come', async () => {
  const { pool, url } = database();
  const conversation = await startConversation(pool);
  const holder = await pool.connect();
  const hasty = makePool({ url, max: 1, name: 'hasty', statementTimeoutMs: 100 });
  hasty.on('error', () => undefined);
  const failure = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    );
  try {
    await holder.query('begin');
    await holder.query('select from conversation where id = $1 for no key update', [conversation]);
    const locked = await failure(hasty.query('select decide($1, $2)', [conversation, '[]']));
    expect(locked).toMatchObject({ code: '55P03' });
    expect(isRetryable(locked)).toBe(true);
    const slow = await failure(hasty.query('select pg_sleep(10)'));
    expect(slow).toMatchObject({ code: '57014' });
    expect(isRetryable(slow)).toBe(true);
    const killed = await failure(hasty.query('select pg_terminate_backend(pg_backend_pid())'));
    expect(isRetryable(killed)).toBe(true);
    const refused = makePool({ url: 'postgres://127.0.0.1:1/none', max: 1, name: 'away' });
    expect(isRetryable(await failure(refused.query('select 1')))).toBe(true);
    await refused.end();
    // Neither of them has broken the pool.
    expect((await hasty.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  } finally {
    await holder.query('rollback').finally(() => holder.release());
    await hasty.end();
  }
});
