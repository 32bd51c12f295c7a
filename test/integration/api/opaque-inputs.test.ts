import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseConversationId, parseUserId } from '../../../domain/ids.ts';
import { MAX_SAFE_EPOCH } from '../../../domain/limits.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { useReplicas } from '../../harness/streams/replica.ts';

// Every input that a client gets from the service and sends back, or that names something: whatever is in it, the answer
// is never 5xx, and what the service did not make is refused as `malformed`.

const {
  replicas: [one],
} = useReplicas({});
let opaque: string;
/** A conversation that a request may reset. */
let expendable: string;
beforeAll(async () => {
  opaque = await createConversation(one.service, ['bob'], { protocol: 'opaque' });
  expendable = await createConversation(one.service, ['bob'], { protocol: 'opaque' });
});

const RUNS = 120;
/** Names that every object inherits, and what breaks parsers, SQL and JSON. */
const ODD_TEXTS: readonly string[] = [
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'toLocaleString', '__defineGetter__'],
  ...['', ' ', '\0', 'a\0b', '\ud800', 'a\udfff', '\ufffe', '\ufeff', '\u202e', '\u2028', '\u0301'.repeat(200)],
  ...['0', '-0', '-1', '1e3', '1e400', '0x10', '1_000', '٣', '00', 'NaN', 'Infinity', '9007199254740991'],
  ...['9007199254740992', '9223372036854775807', '9223372036854775808', '18446744073709551616', '1.5'],
  ...['2026-01-01T00:00:00Z', '0000-00-00', '+275760-09-13', 'latest', 'null', 'undefined', 'true', '[]', '{}', '*'],
  ...['00000000-0000-0000-0000-000000000000', '{00000000-0000-4000-8000-000000000000}', 'AA', 'AB', 'AA==', '_w', '-_'],
  ...["'", '"', '\\', "'; drop table entry; --", '%', '%00', '..', '.', '/', 'x'.repeat(300), '\u{1f600}'],
];
const oddBytes = fc.oneof(
  fc.uint8Array({ maxLength: 24 }),
  fc.constantFrom(...ODD_TEXTS).map((text) => Buffer.from(text, 'utf8')),
  // UTF-8 of half a surrogate pair, an overlong form, and a truncated sequence.
  fc.constantFrom([0xed, 0xa0, 0x80], [0xc0, 0x80], [0xe2, 0x82], [0xff], [0]).map((bytes) => Buffer.from(bytes)),
);
const base64url = oddBytes.map((bytes) => Buffer.from(bytes).toString('base64url'));
const oddText = fc.oneof(
  fc.constantFrom(...ODD_TEXTS),
  fc.string({ unit: 'binary', maxLength: 24 }),
  base64url,
  oddBytes.map((bytes) => Buffer.from(bytes).toString('base64')),
  fc.uuid(),
  fc.double().map(String),
);
/** What can stand in a header line. */
const headerText = oddText.map((text) => text.replaceAll(/[^\t\x20-\x7e\x80-\xff]/g, '')).map((text) => text.trim());
/** Half a surrogate pair cannot be percent-encoded. */
const wellFormed = (text: string): string => text.replaceAll(/\p{Surrogate}/gu, '\ufffd');
const encode = (text: string): string => encodeURIComponent(wellFormed(text));

function expectClientError(answer: Answer): void {
  expect([answer.status, answer.status < 500 ? '' : answer.text]).toEqual([answer.status, '']);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
function textIn(cursor: string): string | undefined {
  try {
    return utf8.decode(Buffer.from(cursor, 'base64url'));
  } catch {
    return undefined;
  }
}
const isUuid = (text: string): boolean => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
const isKey = (text: string): boolean => /^[1-9]\d*$/.test(text) && Number.isSafeInteger(Number(text));

describe.each<[path: string, user: string, fits: (text: string) => boolean]>([
  ['/v1/conversations', 'alice', (text) => parseConversationId(text) !== undefined],
  ['members', 'alice', (text) => parseUserId(text) !== undefined],
  ['/v1/welcomes', 'alice', isUuid],
  ['/v1/admin/conversations', 'operator', (text) => parseConversationId(text) !== undefined],
  ['/v1/admin/audit', 'operator', isKey],
])('the cursor of %s', (path, user, fits) => {
  const ask = (cursor: string): Promise<Answer> => {
    const target = path === 'members' ? `/v1/conversations/${opaque}/members` : path;
    return one.service.ask(`GET ${target}?cursor=${encode(cursor)}`, { user });
  };

  test('is refused unless it contains what the list is in order of', async () => {
    await fc.assert(
      fc.asyncProperty(base64url, async (cursor) => {
        const text = textIn(cursor);
        const answer = await ask(cursor);
        if (text !== undefined && fits(text)) {
          // Of UUIDs only those of RFC 9562 pass.
          expect([200, ...(path === '/v1/welcomes' ? [400] : [])]).toContain(answer.status);
        } else {
          expect([answer.status, answer.body.code, text]).toEqual([400, 'malformed', text]);
        }
      }),
      { numRuns: RUNS, examples: ODD_TEXTS.map((text) => [Buffer.from(text).toString('base64url')]) },
    );
  });

  test('is refused in any form but the one that the service gives', async () => {
    await fc.assert(
      fc.asyncProperty(oddText, async (cursor) => {
        if (Buffer.from(cursor, 'base64url').toString('base64url') === wellFormed(cursor) && cursor !== '') return;
        expect([(await ask(cursor)).status, cursor]).toEqual([400, cursor]);
      }),
      { numRuns: RUNS },
    );
  });
});

/** The log does not go on from a higher one. */
async function lastSeq(): Promise<number> {
  const { body } = await one.service.ask(`GET /v1/conversations/${opaque}/messages`, { user: 'alice' });
  return body.lastSeq as number;
}

test('no text in a query is answered with 5xx, and what is no whole number in its range is malformed', async () => {
  const head = await lastSeq();
  const query = fc.record({
    name: fc.constantFrom('after', 'limit', 'kind'),
    value: fc.oneof(oddText, fc.nat().map(String)),
  });
  await fc.assert(
    fc.asyncProperty(query, async ({ name, value }) => {
      const target = `/v1/conversations/${opaque}/messages?${name}=${encode(value)}`;
      const answer = await one.service.ask(`GET ${target}`, { user: 'alice' });
      const max = name === 'after' ? MAX_SAFE_EPOCH : 1000;
      const isNumber = /^\d{1,16}$/.test(value) && Number(value) <= max && (name === 'after' || Number(value) > 0);
      const isAhead = name === 'after' && Number(value) > head;
      const expected = isAhead ? 409 : 200;
      expect([answer.status, value]).toEqual([name !== 'kind' && isNumber ? expected : 400, value]);
    }),
    { numRuns: RUNS, examples: ODD_TEXTS.map((value) => [{ name: 'after', value }]) },
  );
});

test('a name in a query that no route knows is malformed, also one that every object inherits', async () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'cursor[__proto__]', 'limit[]']) {
    const answer = await one.service.ask(`GET /v1/conversations?${encode(name)}=1`, { user: 'alice' });
    expect([name, answer.status]).toEqual([name, 400]);
  }
  expect((await one.service.ask('GET /v1/conversations?limit=1&limit=2', { user: 'alice' })).status).toBe(400);
});

test('no text in a header is answered with 5xx', async () => {
  const header = fc.constantFrom('if-none-match', 'idempotency-key', 'x-request-id', 'traceparent', 'authorization');
  await fc.assert(
    fc.asyncProperty(header, headerText, async (name, value) => {
      const read = await one.service.ask(`GET /v1/conversations/${opaque}/epoch`, {
        user: 'alice',
        headers: { [name]: value },
      });
      expectClientError(read);
      const write = { user: 'alice', body: {}, headers: { [name]: value } };
      expectClientError(await one.service.ask(`POST /v1/conversations/${opaque}/read`, write));
    }),
    { numRuns: RUNS },
  );
});

test('a stream starts only after a seq: anything else in Last-Event-ID or in after is malformed', async () => {
  const head = await lastSeq();
  const authorization = `Bearer ${await tokenOf('alice')}`;
  const open = async (query: string, headers: Readonly<Record<string, string>>): Promise<number> => {
    const target = `${one.service.url}/v1/conversations/${opaque}/events${query}`;
    const ended = new AbortController();
    const { status } = await fetch(target, { headers: { authorization, ...headers }, signal: ended.signal });
    ended.abort();
    return status;
  };
  const isSeq = (text: string): boolean => /^\d{1,16}$/.test(text) && Number(text) <= MAX_SAFE_EPOCH;
  await fc.assert(
    fc.asyncProperty(headerText, async (value) => {
      // A seq with a mark is a position, and the log has another value there.
      const isOther = /^\d{1,16}\.[\w-]{16}$/.test(value);
      const expected = isOther || (isSeq(value) && Number(value) > head) ? 409 : isSeq(value) ? 200 : 400;
      expect([await open('', { 'last-event-id': value }), value]).toEqual([value === '' ? 200 : expected, value]);
      expect([await open(`?after=${encode(value)}`, {}), value]).toEqual([value === 'latest' ? 200 : expected, value]);
    }),
    { numRuns: RUNS / 2, examples: [['9007199254740991'], ['9007199254740992'], ['-1'], ['AA']] },
  );
});

test('a name in a path that nothing can have is not found, and never 5xx', async () => {
  const path = fc.constantFrom(
    (name: string) => `GET /v1/conversations/${name}`,
    (name: string) => `GET /v1/conversations/${name}/messages`,
    (name: string) => `GET /v1/conversations/${name}/group-info`,
    (name: string) => `POST /v1/conversations/${opaque}/members/${name}/remove`,
    (name: string) => `PUT /v1/conversations/${opaque}/members/${name}/role`,
    (name: string) => `POST /v1/users/${name}/key-packages/claim`,
    (name: string) => `DELETE /v1/devices/${name}`,
    (name: string) => `POST /v1/welcomes/${name}/ack`,
    (name: string) => `GET /docs/problems/${name}`,
    (name: string) => `GET /v1/admin/conversations/${name}`,
  );
  await fc.assert(
    fc.asyncProperty(path, oddText, async (make, name) => {
      // Clients take these segments out of a URL: then it has another path.
      fc.pre(name !== '.' && name !== '..');
      const what = make(encode(name));
      const body = what.startsWith('PUT') ? { body: { role: 'member' } } : what.startsWith('POST') ? { body: {} } : {};
      expectClientError(await one.service.ask(what, { user: what.includes('admin') ? 'operator' : 'alice', ...body }));
    }),
    { numRuns: RUNS * 2 },
  );
  // No UTF-8, or no percent-encoding.
  for (const name of ['%ff', '%', '%ed%a0%80', '%c0%80', '%00']) {
    const answer = await one.service.ask(`DELETE /v1/devices/${name}`, { user: 'alice' });
    expect([name, [400, 404].includes(answer.status)]).toEqual([name, true]);
  }
});

/** Numbers as JSON writes them, also those that no double or no bigint can have. */
const NUMBERS = ['-0', '-1', '0.5', '1e400', '-1e400', '1e308', '1E2', '9007199254740991', '9007199254740992'].concat(
  '9223372036854775808',
  '18446744073709551616',
  '0.1e1',
  'null',
  '"1"',
);

test('no number in a body is answered with 5xx', async () => {
  const id = randomUUID();
  const bodies: readonly ((number: string) => [what: string, raw: string])[] = [
    (n) => [`POST /v1/conversations/${opaque}/read`, `{"seq":${n}}`],
    (n) => [`POST /v1/conversations/${opaque}/unread`, `{"by":${n}}`],
    (n) => [`POST /v1/ack`, `{"positions":{"${opaque}":${n}}}`],
    (n) => [`POST /v1/conversations/${opaque}/messages`, `{"id":"${id}","ciphertext":"AAAA","epoch":${n}}`],
    (n) => [`POST /v1/conversations/${opaque}/commits`, `{"commit":"AAAA","epoch":${n}}`],
    (n) => [`POST /v1/conversations/${opaque}/members`, `{"users":["bob"],"epoch":${n}}`],
    (n) => [`POST /v1/conversations/${opaque}/reports`, `{"seq":${n},"epoch":${n},"reason":"x"}`],
    (n) => ['POST /v1/conversations', `{"id":"${id.replaceAll('-', '')}","protocol":"opaque","epoch":${n}}`],
    (n) => [`PATCH /v1/conversations/${opaque}`, `{"policy":{"retentionDays":${n},"maxMembers":${n}}}`],
    (n) => ['POST /v1/users/bob/key-packages/claim', `{"cipherSuite":${n}}`],
  ];
  for (const number of NUMBERS) {
    for (const make of bodies) {
      const [what, raw] = make(number);
      expectClientError(await one.service.ask(what, { user: 'alice', raw }));
    }
  }
});

test('no text in a body is answered with 5xx, and nothing that is no text is stored', async () => {
  const bodies: readonly ((text: string) => [what: string, body: unknown])[] = [
    (t) => [`POST /v1/ack`, { positions: { [t]: 0 } }],
    (t) => [`POST /v1/conversations/${opaque}/messages`, { id: t, ciphertext: 'AAAA' }],
    (t) => [`POST /v1/conversations/${opaque}/messages`, { id: 'x', ciphertext: t }],
    (t) => [`POST /v1/conversations/${opaque}/members`, { users: [t], id: t }],
    (t) => [`POST /v1/conversations/${opaque}/commits`, { commit: t, adds: [t], removes: [t], welcome: t }],
    (t) => [`POST /v1/conversations/${opaque}/reports`, { seq: 0, epoch: 0, reason: t, epochAuthenticator: t }],
    (t) => [`POST /v1/conversations/${expendable}/reset`, { successor: t }],
    (t) => ['POST /v1/users/bob/key-packages/claim', { devices: [t] }],
    (t) => ['POST /v1/users/bob/key-packages/claim', { conversation: t }],
    (t) => ['POST /v1/key-packages', { keyPackages: [t] }],
    (t) => ['POST /v1/conversations', { id: t, protocol: t, members: [t] }],
    (t) => ['POST /v1/conversations', { [t]: t }],
  ];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...bodies), oddText, async (make, text) => {
      const [what, body] = make(text);
      expectClientError(await one.service.ask(what, { user: 'alice', body }));
    }),
    {
      numRuns: RUNS * 2,
      examples: ODD_TEXTS.flatMap((text) => bodies.map((make) => [make, text] as const)).map((x) => [...x]),
    },
  );
});

test('bytes in base64 have one form: padding, alphabet and unused bits are checked', async () => {
  for (const ciphertext of ['AA', 'AB==', 'AA==\n', 'A A=', '-_8=', '=', '==', 'AA=', 'AAA==', 'A']) {
    const body = { id: 'bytes', ciphertext };
    const answer = await one.service.ask(`POST /v1/conversations/${opaque}/messages`, { user: 'alice', body });
    expect([ciphertext, answer.status]).toEqual([ciphertext, 400]);
  }
  const body = { id: 'bytes', ciphertext: base64(Buffer.from([0xfb, 0xff])) };
  const answer = await one.service.ask(`POST /v1/conversations/${opaque}/messages`, { user: 'alice', body });
  expect(answer.status).toBe(200);
});

test('a position for a name that is no conversation id is malformed, also for one that parsers leave out', async () => {
  for (const raw of ['{"positions":{"__proto__":1}}', '{"positions":{"\\u005f_proto__":1}}', '{"positions":{"":1}}']) {
    const answer = await one.service.ask('POST /v1/ack', { user: 'alice', raw });
    expect([raw, answer.status]).toEqual([raw, 400]);
  }
});
