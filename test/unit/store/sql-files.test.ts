import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { COMMAND_KINDS } from '../../../domain/command.ts';
import { PROBLEMS } from '../../../domain/errors.ts';
import * as limits from '../../../domain/limits.ts';
import { INTERNAL_REFUSALS, OUTCOME_FIELDS, type Outcome } from '../../../domain/outcome.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { checksum, readSchema } from '../../../store/schema.ts';
import { SQL_LIMITS, limitsSql } from '../../../tools/sql/limits-sql.ts';

/** What SQL and TypeScript both say must be the same in both: codes, kinds, fields, numbers, and files that were released. */
const store = path.join(packageRoot(), 'store');
const schema = await readSchema(store);
const files = readdirSync(store, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.sql') && !name.startsWith('migrations'))
  .map((name) => ({ name, text: readFileSync(path.join(store, name), 'utf8').replaceAll(/--.*$/gm, '') }));
const sql = files.map(({ text }) => text).join('\n');

const STATUSES: Record<Outcome['status'], true> = { accepted: true, duplicate: true, refused: true };

function all(pattern: RegExp, text = sql): string[] {
  return [...new Set([...text.matchAll(pattern)].map((match) => match[1] ?? ''))].sort();
}

function body(name: string): string {
  const found = files.map(({ text }) => text.split(`create or replace function ${name}(`)[1]?.split('$$;')[0]);
  return found.find((text) => text !== undefined) ?? expect.unreachable(`no function ${name}`);
}

test('every refusal code in SQL is one of the domain', () => {
  const known = [...Object.keys(PROBLEMS), ...INTERNAL_REFUSALS];
  const codes = all(/refusal\((?:case when [^']*)?'([a-z-]+)'/g);
  expect(codes.length).toBeGreaterThan(20);
  expect(codes.filter((code) => !known.includes(code))).toEqual([]);
  // Codes that a `case` chooses.
  const chosen = [...all(/then '([a-z]+(?:-[a-z]+)+)'/g), ...all(/else '([a-z]+(?:-[a-z]+)+)'/g)];
  const verdicts = ['pending-join', 'left-over'];
  expect(chosen.filter((code) => ![...known, ...verdicts, 'conversation-exists'].includes(code))).toEqual([]);
});

test('the deciding function knows every kind of operation, and no other', () => {
  const decide = body('decide_locked');
  expect(all(/when '([a-z-]+)' then r := decide_/g, decide)).toEqual([...COMMAND_KINDS].sort());
  const compared = [
    ...all(/->> 'kind' = '([a-z-]+)'/g),
    ...all(/->> 'kind' <> '([a-z-]+)'/g),
    ...all(/v_kind (?:=|<>) '([a-z-]+)'/g),
  ];
  expect(compared.filter((kind) => !COMMAND_KINDS.some((known) => known === kind))).toEqual([]);
});

test('every status and field of an outcome in SQL is one of the domain', () => {
  const answers = [
    ...sql.matchAll(/jsonb_build_object\(\s*'status',([^;]*?)\)(?:;|\s*\n\s*(?:when|else|end|\|\|))/g),
  ].map((match) => match[1] ?? '');
  expect(answers.length).toBeGreaterThan(8);
  const fields = answers.flatMap((answer) => all(/'([a-zA-Z0-9]+)',/g, answer));
  const known = [...Object.keys(OUTCOME_FIELDS), ...Object.keys(STATUSES), 'hex'];
  expect(fields.filter((field) => !known.includes(field))).toEqual([]);
  const statuses = [
    ...all(/'status', '([a-z]+)'/g),
    ...all(/"status": "([a-z]+)"/g),
    ...all(/->> 'status' = '([a-z]+)'/g),
  ];
  expect(statuses.filter((status) => !(status in STATUSES))).toEqual([]);
});

describe('numbers', () => {
  test('store/limits.sql is what domain/limits.ts says: else run `npm run sql-files`', () => {
    expect(readFileSync(path.join(store, 'limits.sql'), 'utf8')).toBe(limitsSql());
  });

  test('every limit is used, and no limit is written as a number beside it', () => {
    const rest = files.filter(({ name }) => name !== 'limits.sql');
    const typescript = readdirSync(store, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => ({ name, text: readFileSync(path.join(store, name), 'utf8') }));
    const everything = [...rest, ...typescript].map(({ text }) => text).join('\n');
    expect(SQL_LIMITS.filter((name) => !everything.includes(`${name}()`))).toEqual([]);

    // The other numbers are no limits of the domain: the interval of the timer, and what tells rows from one another.
    const own = [
      "retention/retention.sql: interval '1 day'",
      "retention/retention.sql: interval '1 minute'",
      "request/idempotency.ts: interval '1 millisecond'",
      "key-package/key-packages.ts: interval '1 day'",
      "device/device-streams.ts: interval '1 microsecond'",
      "device/stream-tickets.ts: interval '1 microsecond'",
    ];
    const found = [...rest, ...typescript].flatMap(({ name, text }) =>
      [...text.matchAll(/interval '[^']+'/g)].map(([literal]) => `${name}: ${literal}`),
    );
    expect(found.filter((literal) => !own.includes(literal))).toEqual([]);
    const large = rest.flatMap(({ name, text }) =>
      [...text.matchAll(/(?<![\w.'])\d{2,}(?![\w.'])/g)].map(([number]) => `${name}: ${number}`),
    );
    // "Without a limit" of count_available(), milliseconds of a second.
    expect([...new Set(large)].sort()).toEqual(
      [
        'commit/contention.sql: 1000',
        'decision/decide.sql: 1000',
        'decision/refusals.sql: 1000',
        'key-package/group-claims.sql: 1000',
        'key-package/key-packages.sql: 100',
        'key-package/key-packages.sql: 1000',
        'key-package/key-packages.sql: 2147483647',
        'log/increments.sql: 1000',
        // Bytes of a mark.
        'log/position.sql: 12',
        'membership/join-request.sql: 1000',
        'message/decide-messages.sql: 1000',
        'repair/trial.sql: 1000',
        'welcome/invitations.sql: 1000',
      ].sort(),
    );
    expect(limits.MAX_SAFE_EPOCH).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('files that were released', () => {
  test('a migration is never edited or removed', () => {
    const frozen = JSON.parse(readFileSync(path.join(store, 'migrations', 'manifest.json'), 'utf8')) as object;
    const current = Object.fromEntries(schema.migrations.map(({ name, sql: text }) => [name, checksum(text)]));
    expect(current, 'put the change into a new migration; `npm run sql-files` adds a new file to the list').toEqual(
      frozen,
    );
  });

  test('functions that change get a new version', () => {
    const { version, hash } = schema.functions;
    const known = JSON.parse(readFileSync(path.join(store, 'functions.json'), 'utf8')) as Record<string, string>;
    const newest = Math.max(...Object.keys(known).map(Number));
    expect(version).toBe(newest);
    expect(
      known[version],
      'after the first change since a release raise FUNCTIONS_VERSION (store/functions-version.ts); then run `npm run sql-files`',
    ).toBe(hash);
  });
});
