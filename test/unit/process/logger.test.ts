import { expect, test } from 'vitest';
import { makeLogger, makeUserHash } from '../../../process/logger.ts';

function record(): { lines: string[]; write: (line: string) => void } {
  const lines: string[] = [];
  return { lines, write: (line) => void lines.push(line) };
}

test('a line is JSON with a time, a level name and the process name', () => {
  const destination = record();
  makeLogger({ level: 'info', name: 'api', destination }).info({ conversation: 'c' }, 'hello');
  expect(JSON.parse(destination.lines[0] ?? '')).toMatchObject({
    level: 'info',
    name: 'api',
    conversation: 'c',
    msg: 'hello',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
  });
});

test('lines never contain payloads, tokens or extra fields of errors', () => {
  const destination = record();
  const log = makeLogger({ level: 'info', name: 'api', destination });
  const secret = 'never seen';
  log.info({ ciphertext: secret, request: { authorization: secret, body: { commit: secret } } }, 'x');
  const cause = Object.assign(new Error('duplicate key'), { code: '23505', detail: secret });
  log.error({ err: new Error('failed', { cause }) }, 'y');
  expect(destination.lines.join('')).not.toContain(secret);
  expect(JSON.parse(destination.lines[1] ?? '')).toMatchObject({
    err: { message: 'failed', cause: { message: 'duplicate key', code: '23505' } },
  });
});

test('messages of PostgreSQL are logged without the values in them', () => {
  const destination = record();
  const log = makeLogger({ level: 'info', name: 'api', destination });
  const answers = [
    {
      message: 'invalid input syntax for type bigint: "never seen"',
      left: 'invalid input syntax for type bigint: "…"',
    },
    {
      message: 'duplicate key value violates unique constraint "member_pkey"',
      constraint: 'member_pkey',
      left: 'duplicate key value violates unique constraint "member_pkey"',
    },
    {
      message: 'invalid byte sequence for encoding "UTF8": 0xc3 0x28',
      left: 'invalid byte sequence for encoding "…": …',
    },
  ];
  for (const { message, left, ...fields } of answers) {
    const cause = Object.assign(new Error(message), { severity: 'ERROR', code: '22P02', ...fields });
    log.error({ err: new Error('failed', { cause }) }, 'x');
    const line = destination.lines.at(-1) ?? '';
    expect(JSON.parse(line)).toMatchObject({ err: { cause: { message: left, code: '22P02' } } });
    if (left !== message) expect(line).not.toContain(message.split(': ')[1]);
  }
});

test('a user id becomes a pseudonym: stable with one salt, different with another', () => {
  const hash = makeUserHash('salt');
  expect(hash('alice')).toMatch(/^u:[0-9a-f]{16}$/);
  expect(hash('alice')).toBe(makeUserHash('salt')('alice'));
  expect(hash('alice')).not.toBe(hash('bob'));
  expect(makeUserHash()('alice')).not.toBe(makeUserHash()('alice'));
});
