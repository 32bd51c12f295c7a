import fc from 'fast-check';
import { type JsonSchema, type Schemas, isObject, resolve } from '../../../tools/fuzz/json-schema.ts';

/** Suggests values from elsewhere: real ids, or bytes that are MLS messages. */
export type Suggest = (field: string, schema: JsonSchema) => fc.Arbitrary<unknown> | undefined;

export interface ValueOptions {
  readonly schemas: Schemas;
  readonly suggest: Suggest;
}

/** Length limit for arrays and strings of an unbounded schema. Long values are tried separately. */
const SHORT = 12;
const MAX_ITEMS = 4;

/** Values that a schema allows, including its bounds. */
export function validValue(given: JsonSchema, options: ValueOptions, field = ''): fc.Arbitrary<unknown> {
  const schema = resolve(options.schemas, given);
  const suggested = options.suggest(field, schema);
  if (suggested !== undefined) return suggested;
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) return fc.oneof(...alternatives.map((one) => validValue(one, options, field)));
  if (schema.allOf !== undefined) return validValue(merge(schema.allOf, options.schemas), options, field);
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? ['object']);
  return fc.oneof(...types.map((type) => ofType(type, schema, options, field)));
}

function ofType(type: string, schema: JsonSchema, options: ValueOptions, field: string): fc.Arbitrary<unknown> {
  switch (type) {
    case 'string':
      return validString(schema);
    case 'integer':
      return validInteger(schema);
    case 'number':
      return fc.oneof(validInteger(schema), fc.double({ min: schema.minimum ?? 0, max: schema.maximum ?? 1e6 }));
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array': {
      const { items = {}, minItems = 0, maxItems = MAX_ITEMS } = schema;
      const maxLength = Math.max(minItems, Math.min(maxItems, MAX_ITEMS));
      return fc.array(validValue(items, options, field), { minLength: minItems, maxLength });
    }
    default:
      return validObject(schema, options, field);
  }
}

function validObject(schema: JsonSchema, options: ValueOptions, field: string): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties } = schema;
  const values = Object.entries(properties).map(([key, inner]) => [key, validValue(inner, options, key)] as const);
  const needed = values.filter(([key]) => required.includes(key));
  // Optional fields often contradict one another. A request without them gets past more checks.
  const own = fc.oneof(
    fc.record(Object.fromEntries(values), { requiredKeys: [...required] }),
    fc.record(Object.fromEntries(needed)),
  );
  if (!isObject(additionalProperties) || Object.keys(additionalProperties).length === 0) return own;
  // This is a map. The name of its field says what its keys are.
  const keys = options.suggest(field, { type: 'string' }) ?? fc.string({ minLength: 1, maxLength: SHORT });
  const entry = fc.tuple(keys, validValue(additionalProperties, options));
  return fc
    .tuple(own, fc.array(entry, { maxLength: MAX_ITEMS }))
    .map(([fields, entries]) => ({ ...fields, ...(Object.fromEntries(entries) as Record<string, unknown>) }));
}

function validInteger({ minimum = 0, maximum = Number.MAX_SAFE_INTEGER }: JsonSchema): fc.Arbitrary<number> {
  const small = fc.integer({ min: minimum, max: Math.min(maximum, minimum + 20) });
  return fc.oneof({ arbitrary: small, weight: 4 }, fc.constantFrom(minimum, maximum));
}

function validString({ minLength = 0, maxLength, pattern, format, contentEncoding }: JsonSchema): fc.Arbitrary<string> {
  if (contentEncoding !== undefined || format === 'base64') {
    return fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('base64'));
  }
  if (format === 'uuid') return fc.uuid();
  if (format === 'date-time')
    return fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) }).map((date) => date.toISOString());
  if (pattern !== undefined) return matching(pattern, minLength);
  const plain = fc.string({ minLength, maxLength: Math.min(maxLength ?? SHORT, minLength + SHORT) });
  const longest = maxLength === undefined ? 'x' : 'x'.repeat(maxLength);
  return fc.oneof({ arbitrary: plain, weight: 3 }, fc.constantFrom('x'.repeat(Math.max(minLength, 1)), longest));
}

/** Cached by pattern: creating one takes longer than a hundred uses of it. */
const MATCHING = new Map<string, fc.Arbitrary<string>>();

function matching(pattern: string, minLength: number): fc.Arbitrary<string> {
  // There are too many Unicode classes to support. Plain text matches most of them.
  if (pattern.includes('\\p{')) return fc.string({ minLength: Math.max(minLength, 1), maxLength: minLength + SHORT });
  const known = MATCHING.get(pattern) ?? fc.stringMatching(new RegExp(pattern, 'u'));
  MATCHING.set(pattern, known);
  return known;
}

function merge(all: readonly JsonSchema[], schemas: Schemas): JsonSchema {
  const resolved = all.map((one) => resolve(schemas, one));
  return {
    ...Object.assign({}, ...resolved),
    properties: Object.assign({}, ...resolved.map(({ properties = {} }) => properties)) as Record<string, JsonSchema>,
    required: resolved.flatMap(({ required = [] }) => required),
  } as JsonSchema;
}

/** A value in the text form of a parameter. */
export function parameterText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Values that often cause errors in parsers and databases. */
export const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  -0,
  1.5,
  1e308,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 53 + 2,
  2 ** 63,
  2 ** 64,
  '',
  ' ',
  '0',
  '-1',
  'null',
  '.',
  '..',
  '../..',
  '%00',
  '\u0000',
  'a\u0000b',
  '\ud800',
  'a\udfffb',
  '\u202eevil',
  '\u{1f600}'.repeat(64),
  '\u0301'.repeat(300),
  '\ufeff',
  'x'.repeat(10_000),
  "'; drop table entry; --",
  '=====',
  'AA==\n',
  'AB==',
  '____',
  [],
  {},
  [[]],
  [null],
  { length: 3 },
  JSON.parse('{"__proto__": {"a": 1}, "constructor": 1, "toString": null}'),
  Array.from({ length: 300 }, () => 'x'),
];

/** A value with one to three changes anywhere in it: a part is replaced by an odd value, removed, doubled or added. */
export function changedValue(valid: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const change = fc.record({
    at: fc.nat(),
    kind: fc.constantFrom('replace', 'replace', 'replace', 'drop', 'double', 'add'),
    odd: fc.constantFrom(...ODD_VALUES),
  });
  return fc.tuple(valid, fc.array(change, { minLength: 1, maxLength: 3 })).map(([value, changes]) => {
    const holder = { root: structuredClone(value) };
    for (const { at, kind, odd } of changes) applyChange(holder, at, kind, structuredClone(odd));
    return holder.root;
  });
}

/** The content of an object by its keys, or of an array by its indexes. */
type Slots = Record<string, unknown>;

function applyChange(holder: { root: unknown }, at: number, kind: string, odd: unknown): void {
  const slots: (readonly [Slots, string])[] = [];
  const collect = (parent: object): void => {
    for (const [key, inner] of Object.entries(parent) as [string, unknown][]) {
      slots.push([parent as Slots, key]);
      if (typeof inner === 'object' && inner !== null) collect(inner);
    }
  };
  collect(holder);
  const [parent, key] = slots[at % slots.length] ?? ([holder, 'root'] as unknown as readonly [Slots, string]);
  const value = parent[key];
  if (kind === 'add' && isObject(value)) parent[key] = { ...value, [typeof odd === 'string' ? odd : 'more']: odd };
  else if (kind === 'double' && Array.isArray(value)) parent[key] = [...(value as unknown[]), ...(value as unknown[])];
  else if (kind === 'drop' && Array.isArray(parent)) parent.splice(Number(key), 1);
  else if (kind === 'drop' && parent !== holder) Reflect.deleteProperty(parent, key);
  else parent[key] = odd;
}
