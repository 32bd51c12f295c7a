import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';
import { type JobPool, makeJobPool } from '../../../compute/pool.ts';
import { jobsInThisThread } from '../../../compute/jobs.ts';
import { isLongText, readJson, valueOf } from '../../../compute/json.ts';
import { MAX_JSON_DEPTH, MAX_JSON_VALUES } from '../../../domain/limits.ts';
import { makeMetrics } from '../../../process/metrics.ts';

const pool: JobPool = makeJobPool({
  threads: 1,
  maxWaitMs: 60_000,
  log: pino({ level: 'silent' }),
  metrics: makeMetrics({ collectDefaults: false }),
  runsInline: () => false,
});
afterAll(() => pool.close());

const inline = async (text: string): Promise<unknown> =>
  valueOf(await jobsInThisThread.run('json', 'alice', Buffer.from(text)));
const inThread = async (text: string): Promise<unknown> => valueOf(await pool.run('json', 'alice', Buffer.from(text)));

test.each([
  ['here', inline],
  ['in a thread', inThread],
])('any JSON text %s is read as JSON.parse reads it', async (_, read) => {
  const text = fc.oneof(
    fc.json({ maxDepth: 5 }),
    fc.jsonValue({ maxDepth: 5 }).map((value) => JSON.stringify(value, null, 1)),
  );
  await fc.assert(
    fc.asyncProperty(text, async (json) => {
      expect(await read(json)).toStrictEqual(JSON.parse(json));
    }),
  );
});

test.each([
  ['here', inline],
  ['in a thread', inThread],
])('duplicate keys, `__proto__` and `constructor` %s are as in JSON.parse', async (_, read) => {
  for (const json of [
    '{"a":1,"a":2}',
    '{"__proto__":{"x":1},"constructor":[{"__proto__":null}]}',
    String.raw`{"\"":"[[[[{{{,,,","b\\":"\\\"{\\"}`,
  ]) {
    const value = await read(json);
    expect(JSON.stringify(value)).toBe(JSON.stringify(JSON.parse(json)));
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  }
});

test.each([
  ['here', inline],
  ['in a thread', inThread],
])('a long string %s is its bytes, at any place, or nothing if it is not base64', async (_, read) => {
  const bytes = randomBytes(900);
  const text = bytes.toString('base64');
  const body = `{"a":"${text}","b":["short","${text}"],"c":"${text.slice(1)}","__proto__":"${text}"}`;
  const value = (await read(body)) as { a: unknown; b: unknown[]; c: unknown; __proto__: unknown };
  expect(value.b[0]).toBe('short');
  for (const long of [value.a, value.b[1], Object.getOwnPropertyDescriptor(value, '__proto__')?.value]) {
    expect(isLongText(long) && long()).toEqual(bytes);
  }
  expect(isLongText(value.c) && value.c() === undefined).toBe(true);
  const whole = await read(JSON.stringify(text));
  expect(isLongText(whole) && whole()).toEqual(bytes);
});

test('text with more values or deeper nesting than any request has is refused before it is parsed', async () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  const listed = (values: number): string => `[${'0,'.repeat(values - 1)}0]`;
  await expect(inline(nested(MAX_JSON_DEPTH))).resolves.toBeDefined();
  await expect(inline(listed(MAX_JSON_VALUES - 1))).resolves.toHaveLength(MAX_JSON_VALUES - 1);
  const tooMany = `The body has more than ${MAX_JSON_VALUES} values`;
  for (const [text, detail] of [
    [nested(MAX_JSON_DEPTH + 1), `The body is nested deeper than ${MAX_JSON_DEPTH}`],
    ['['.repeat(8e6), `The body is nested deeper than ${MAX_JSON_DEPTH}`],
    [listed(MAX_JSON_VALUES + 1), tooMany],
    [listed(4e6), tooMany],
    [`[${'[],'.repeat(MAX_JSON_VALUES)}0]`, tooMany],
    [JSON.stringify(Object.fromEntries(Array.from({ length: 200_000 }, (_, n) => [`k${n}`, 0]))), tooMany],
  ] as const) {
    const parse = JSON.parse;
    let parsed = 0;
    JSON.parse = (...args) => {
      parsed++;
      return parse(...args) as unknown;
    };
    await expect(inline(text).finally(() => (JSON.parse = parse))).rejects.toMatchObject({
      code: 'malformed',
      message: detail,
    });
    expect(parsed).toBe(0);
    await expect(inThread(text)).rejects.toMatchObject({ code: 'malformed', message: detail });
  }
});

test('text that is not UTF-8 or not JSON is refused', async () => {
  expect(() => readJson(Buffer.from([0x22, 0xff, 0x22]))).toThrow('The body is not UTF-8');
  for (const text of ['{', '"open', '"\\', '\ufeff{}', ']]]]', '{"a":1}}']) {
    await expect(inline(text)).rejects.toMatchObject({ code: 'malformed', message: 'The body is not JSON' });
  }
});
