import fc from 'fast-check';
import type { Api, Operation, Parameter } from '../../../tools/fuzz/document.ts';
import { violations } from '../../../tools/fuzz/json-schema.ts';
import { type Known, nounOf, nounOfParameter } from './known.ts';
import type { FuzzRequest } from './sender.ts';
import { ODD_VALUES, type Suggest, changedValue, parameterText, validValue } from './values.ts';

/** A request with the facts that are known before it is sent. */
export interface Attempt {
  readonly request: FuzzRequest;
  /** The operation that it was made for. */
  readonly operation: Operation;
  /** The operation of its method and path. `undefined` = there is none. */
  readonly addressed: Operation | undefined;
  /** The reason why it must be refused. `undefined` = it may be accepted. */
  readonly fault: string | undefined;
}

export interface RequestWorld {
  readonly api: Api;
  readonly known: Known;
  /** Valid values of `Authorization`, also of operators. */
  readonly tokens: readonly string[];
  /** Valid values of users that no other request needs. */
  readonly tokensToSpend: readonly string[];
  /** Invalid values. `undefined` = no header. */
  readonly badTokens: readonly (string | undefined)[];
  /** MLS messages (base64) that fit a field. */
  readonly frames: (field: string) => readonly string[];
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'];
/** Number of ids of a noun that count as the newest ones. */
const NEWEST = 6;
const JSON_TYPE = 'application/json';
const ODD_TYPES = [
  'text/plain',
  'application/json; charset=utf-16',
  'multipart/form-data',
  'application/jsonx',
  'json',
];
const ODD_BODIES: readonly (string | Uint8Array)[] = [
  '{',
  '[',
  'null',
  '[]',
  '"x"',
  '1e999',
  '{"a":1}{"b":2}',
  "{'a':1}",
  '{"a":1,"a":2}',
  '\ufeff{}',
  '['.repeat(50_000),
  `${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}`,
  Uint8Array.of(0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d),
  Uint8Array.of(0x1f, 0x8b, 0x08, 0x00),
];
const ODD_HEADERS: readonly Readonly<Record<string, string>>[] = [
  { 'idempotency-key': '' },
  { 'idempotency-key': '"' },
  { 'idempotency-key': '"\\x"' },
  { 'idempotency-key': 'x'.repeat(256) },
  { 'idempotency-key': 'key\u00e9' },
  { traceparent: '00-00000000000000000000000000000000-0000000000000000-00' },
  { 'x-request-id': 'x'.repeat(200) },
  { 'x-http-method-override': 'DELETE' },
  { 'if-none-match': '*' },
  { 'if-none-match': '"0", W/"1"' },
  { 'last-event-id': '-1' },
  { 'last-event-id': '99999999999999999999' },
  { accept: 'text/html;q=0' },
  { range: 'bytes=0-1' },
  { 'content-encoding': 'gzip' },
  { cookie: 'a=b' },
  { origin: 'https://example.com' },
  { 'x-forwarded-for': "'" },
];
const ODD_SEGMENTS = [
  '%00',
  '%ff',
  '%',
  '%2e%2e',
  '%2F',
  ' ',
  '%E2%80%AE',
  'a'.repeat(300),
  '0',
  '-',
  '*',
  '%252F',
  ';',
];

/** Requests for one operation: valid ones, ones at their bounds, and ones that are wrong in any part. */
export function attempts(operation: Operation, world: RequestWorld): fc.Arbitrary<Attempt> {
  const suggest = suggestions(operation, world);
  const options = { schemas: world.api.schemas, suggest };
  const body = operation.body === undefined ? fc.constant(undefined) : validValue(operation.body, options);
  const inPath = operation.parameters.filter((one) => one.in === 'path');
  const inQuery = operation.parameters.filter((one) => one.in === 'query');
  const parts = fc.record({
    path: fc.tuple(...inPath.map((one) => segment(one, operation, world))),
    query: fc.tuple(...inQuery.map((one) => fc.option(validValue(one.schema, options, one.name), { nil: undefined }))),
    body,
    token: fc.constantFrom(...(endsItsUser(operation) ? world.tokensToSpend : world.tokens)),
    key: fc.option(fc.nat(30), { nil: undefined, freq: 4 }),
  });
  const plain = parts.map((chosen): Draft => {
    const { method } = operation;
    return {
      method,
      path: chosen.path.map((value) => encodeURIComponent(value)),
      query: inQuery.flatMap(({ name }, i) =>
        chosen.query[i] === undefined
          ? []
          : [`${name}=${encodeURIComponent(wellFormed(parameterText(chosen.query[i])))}`],
      ),
      headers: {
        ...(operation.isPublic ? {} : { authorization: chosen.token }),
        ...(chosen.body === undefined ? {} : { 'content-type': JSON_TYPE }),
        ...(method === 'POST' && chosen.key !== undefined ? { 'idempotency-key': `"key ${chosen.key}"` } : {}),
      },
      body: chosen.body === undefined ? undefined : JSON.stringify(chosen.body),
    };
  });
  const changed = operation.body === undefined ? undefined : changedValue(validValue(operation.body, options));
  const wrong = fc.oneof(
    ...(changed === undefined
      ? []
      : [
          {
            arbitrary: fc.tuple(plain, changed).map(([draft, value]) => withBody(draft, value, operation, world)),
            weight: 6,
          },
          {
            arbitrary: fc.tuple(plain, fc.constantFrom(...ODD_BODIES)).map(([draft, odd]) => ({ ...draft, body: odd })),
            weight: 1,
          },
          { arbitrary: fc.tuple(plain, fc.nat()).map(([draft, at]) => truncated(draft, at)), weight: 1 },
          {
            arbitrary: fc.tuple(plain, fc.constantFrom(...ODD_TYPES)).map(([draft, type]) => ({
              ...withHeaders(draft, { 'content-type': type }),
              fault: 'the content type is wrong',
            })),
            weight: 1,
          },
        ]),
    {
      arbitrary: fc.tuple(plain, fc.constantFrom(...METHODS)).map(([draft, method]) => ({ ...draft, method })),
      weight: 1,
    },
    {
      arbitrary: fc
        .tuple(plain, fc.constantFrom(...world.badTokens))
        .map(([draft, token]) => withToken(draft, operation, token)),
      weight: 1,
    },
    {
      arbitrary: fc.tuple(plain, fc.constantFrom(...ODD_HEADERS)).map(([draft, odd]) => withHeaders(draft, odd)),
      weight: 1,
    },
    {
      arbitrary: fc
        .tuple(plain, fc.nat(), fc.constantFrom(...ODD_SEGMENTS))
        .map(([draft, at, odd]) => withSegment(draft, at, odd)),
      weight: inPath.length,
    },
    {
      arbitrary: fc
        .tuple(plain, oddQuery(operation))
        .map(([draft, odd]) => ({ ...draft, query: [...draft.query, odd] })),
      weight: 1 + inQuery.length,
    },
  );
  return fc
    .oneof({ arbitrary: plain, weight: 3 }, { arbitrary: wrong, weight: 2 })
    .map((draft) => finish(draft, operation, world.api));
}

interface Draft {
  readonly method: string;
  /** Values of the path parameters, percent-encoded. */
  readonly path: readonly string[];
  readonly query: readonly string[];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | undefined;
  readonly fault?: string | undefined;
}

function finish(draft: Draft, operation: Operation, api: Api): Attempt {
  let next = 0;
  const path = operation.template.replaceAll(/\{\w+\}/g, () => draft.path[next++] ?? '');
  const target = draft.query.length === 0 ? path : `${path}?${draft.query.join('&')}`;
  // An empty segment makes a different path.
  const isThere = !/\/\/|\/$/.test(path);
  const addressed = isThere
    ? api.operations.find((one) => one.template === operation.template && one.method === draft.method)
    : undefined;
  const { method, headers, body, fault } = draft;
  return {
    request: { method, target, headers, ...(body === undefined ? {} : { body }) },
    operation,
    addressed,
    fault: addressed === operation ? fault : undefined,
  };
}

function suggestions(operation: Operation, { known, frames }: RequestWorld): Suggest {
  return (field, schema) => {
    if (schema.contentEncoding !== undefined) {
      const fitting = frames(field);
      return fitting.length === 0 ? undefined : fc.constantFrom(...fitting);
    }
    const noun = schema.type === 'string' ? nounOf(operation.template, field) : undefined;
    if (noun === undefined) return undefined;
    // A new conversation needs a new id.
    const isNew = noun === 'conversation' && (operation.template === '/v1/conversations' || field === 'successor');
    const fresh = fc.uint8Array({ minLength: 16, maxLength: 24 }).map((id) => Buffer.from(id).toString('base64url'));
    const made = noun === 'conversation' ? fresh : fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme-ascii' });
    const real = known.of(noun);
    if (real.length === 0) return isNew || noun === 'message' ? made : undefined;
    return fc.oneof(
      { arbitrary: fc.constantFrom(...real), weight: isNew ? 1 : 8 },
      { arbitrary: made, weight: isNew ? 8 : 1 },
    );
  };
}

function segment({ name, schema }: Parameter, operation: Operation, world: RequestWorld): fc.Arbitrary<string> {
  const noun = nounOfParameter(operation.template, name);
  const real = noun === undefined ? [] : world.known.of(noun);
  const made = validValue(schema, { schemas: world.api.schemas, suggest: () => undefined }).map(String);
  // `.` and `..` are other paths (RFC 3986 §5.2.4).
  const fit = made.filter((value) => value !== '.' && value !== '..' && value !== '' && wellFormed(value) === value);
  if (real.length === 0) return fit;
  // The newest ones are best: older ones may be deleted, or have no members any more.
  const newest = fc.constantFrom(...real.slice(-NEWEST));
  return fc.oneof({ arbitrary: newest, weight: 5 }, { arbitrary: fc.constantFrom(...real), weight: 4 }, fit);
}

/** True if the request erases its sender, so that most later requests of this user would be refused. */
function endsItsUser({ method, template }: Operation): boolean {
  return method === 'DELETE' && template === '/v1/me';
}

/** The value without lone surrogates, which no path can contain. */
function wellFormed(value: string): string {
  return Buffer.from(value, 'utf8').toString('utf8');
}

function withBody(draft: Draft, value: unknown, { body = {} }: Operation, { api }: RequestWorld): Draft {
  const text = JSON.stringify(value);
  // Check the value that the service parses: -0 and lone surrogates change in JSON.
  const [fault] = violations(body, JSON.parse(text), { schemas: api.schemas });
  return { ...draft, body: text, fault };
}

function truncated(draft: Draft, at: number): Draft {
  const { body = '' } = draft;
  const length = 1 + (at % Math.max(1, body.length - 1));
  const isWhole = length >= body.length;
  return { ...draft, body: body.slice(0, length), fault: isWhole ? undefined : 'the body is cut off' };
}

function withHeaders(draft: Draft, headers: Draft['headers']): Draft {
  return { ...draft, headers: { ...draft.headers, ...headers } };
}

function withToken(draft: Draft, { isPublic }: Operation, token: string | undefined): Draft {
  const { authorization: _authorization, ...others } = draft.headers;
  const headers = token === undefined ? others : { ...others, authorization: token };
  return { ...draft, headers, fault: isPublic ? undefined : 'the token is bad' };
}

function withSegment(draft: Draft, at: number, odd: string): Draft {
  return {
    ...draft,
    path: draft.path.map((value, i) => (i === at % draft.path.length ? odd.replace(' ', '%20') : value)),
  };
}

function oddQuery({ parameters }: Operation): fc.Arbitrary<string> {
  const names = [
    ...parameters.filter((one) => one.in === 'query').map(({ name }) => name),
    'unknown',
    'a[]',
    '__proto__',
  ];
  const values = [...ODD_VALUES.filter((value) => typeof value !== 'object').map(String), '1e3', '+1', '01', '0x1'];
  return fc
    .tuple(fc.constantFrom(...names), fc.constantFrom(...values))
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(wellFormed(value).slice(0, 2000))}`);
}
