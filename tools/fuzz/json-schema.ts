import { own } from '../../domain/own.ts';

/** The part of JSON Schema 2020-12 that the OpenAPI document uses. Any other keyword is an error. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly propertyNames?: JsonSchema;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly contentEncoding?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly multipleOf?: number;
}

/** Components by name, as `#/components/schemas/<name>` refers to them. */
export type Schemas = Readonly<Record<string, JsonSchema>>;

const REFERENCE = '#/components/schemas/';
const ANNOTATIONS = new Set(['description', 'title', 'default', 'example', 'examples', 'deprecated', 'discriminator']);
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const FORMATS: Readonly<Record<string, RegExp>> = {
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/,
  uuid: /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i,
  base64: BASE64,
  byte: BASE64,
  uri: /^[a-z][a-z0-9+.-]*:\S+$/i,
};

/** The schema that a reference points to. @throws Error if there is none */
export function resolve(schemas: Schemas, schema: JsonSchema): JsonSchema {
  if (schema.$ref === undefined) return schema;
  const found = own(schemas, schema.$ref.slice(REFERENCE.length));
  if (found === undefined) throw new Error(`The reference ${schema.$ref} points to no schema`);
  return resolve(schemas, found);
}

export interface CheckOptions {
  readonly schemas: Schemas;
  /**
   * An object schema without `additionalProperties` allows no further fields, so every other field of an answer is
   * reported as undocumented. @default false
   */
  readonly closed?: boolean;
}

/** All differences of a value from its schema, as `<JSON pointer> <difference>`. Empty = the value is valid. */
export function violations(schema: JsonSchema, value: unknown, options: CheckOptions, at = ''): string[] {
  const found: string[] = [];
  const check = (isGood: boolean, what: string): void => {
    if (!isGood) found.push(`${at === '' ? '/' : at} ${what}`);
  };
  for (const keyword of Object.keys(schema)) {
    if (!ANNOTATIONS.has(keyword) && !Object.hasOwn(KEYWORDS, keyword))
      throw new Error(`No check for the keyword ${keyword}`);
  }
  for (const [keyword, run] of Object.entries(KEYWORDS)) {
    if (Object.hasOwn(schema, keyword)) run({ schema, value, options, at, check, add: (more) => found.push(...more) });
  }
  if (options.closed === true && schema.properties !== undefined && !('additionalProperties' in schema)) {
    const undocumented = isObject(value)
      ? Object.keys(value).filter((key) => !Object.hasOwn(schema.properties ?? {}, key))
      : [];
    check(undocumented.length === 0, `has undocumented fields: ${undocumented.join(', ')}`);
  }
  return found;
}

interface Look {
  readonly schema: JsonSchema;
  readonly value: unknown;
  readonly options: CheckOptions;
  readonly at: string;
  readonly check: (isGood: boolean, what: string) => void;
  readonly add: (more: readonly string[]) => void;
}

const KEYWORDS: Readonly<Record<string, (look: Look) => void>> = {
  $ref: ({ schema, value, options, at, add }) => add(violations(resolve(options.schemas, schema), value, options, at)),
  type: ({ schema, value, check }) => {
    const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? []);
    check(
      types.some((type) => isOfType(type, value)),
      `is not of type ${types.join(' or ')}`,
    );
  },
  enum: ({ schema, value, check }) => check(schema.enum?.includes(value) === true, 'is not one of the listed values'),
  const: ({ schema, value, check }) => check(schema.const === value, 'is not the constant value'),
  anyOf: ({ schema, value, options, at, add }) => add(checkAny(schema.anyOf ?? [], value, options, at)),
  oneOf: ({ schema, value, options, at, add }) => add(checkAny(schema.oneOf ?? [], value, options, at)),
  allOf: ({ schema, value, options, at, add }) =>
    add((schema.allOf ?? []).flatMap((one) => violations(one, value, options, at))),
  properties: ({ schema, value, options, at, add }) => {
    if (!isObject(value)) return;
    for (const [key, inner] of Object.entries(schema.properties ?? {})) {
      if (Object.hasOwn(value, key)) add(violations(inner, own(value, key), options, `${at}/${key}`));
    }
  },
  required: ({ schema, value, check }) => {
    if (!isObject(value)) return;
    for (const key of schema.required ?? []) check(Object.hasOwn(value, key), `lacks ${key}`);
  },
  additionalProperties: ({ schema, value, options, at, check, add }) => {
    if (!isObject(value)) return;
    const further = Object.keys(value).filter((key) => !Object.hasOwn(schema.properties ?? {}, key));
    const { additionalProperties = true } = schema;
    if (additionalProperties === false) check(further.length === 0, `has further fields: ${further.join(', ')}`);
    else if (additionalProperties !== true)
      for (const key of further) add(violations(additionalProperties, own(value, key), options, `${at}/${key}`));
  },
  propertyNames: ({ schema, value, options, at, add }) => {
    if (!isObject(value) || schema.propertyNames === undefined) return;
    for (const key of Object.keys(value)) add(violations(schema.propertyNames, key, options, `${at}/${key}`));
  },
  minProperties: ({ schema: { minProperties = 0 }, value, check }) =>
    check(!isObject(value) || Object.keys(value).length >= minProperties, 'has too few fields'),
  maxProperties: ({ schema: { maxProperties = 0 }, value, check }) =>
    check(!isObject(value) || Object.keys(value).length <= maxProperties, 'has too many fields'),
  items: ({ schema, value, options, at, add }) => {
    if (!Array.isArray(value) || schema.items === undefined) return;
    for (const [i, item] of value.entries()) add(violations(schema.items, item, options, `${at}/${i}`));
  },
  minItems: ({ schema: { minItems = 0 }, value, check }) =>
    check(!Array.isArray(value) || value.length >= minItems, 'has too few items'),
  maxItems: ({ schema: { maxItems = 0 }, value, check }) =>
    check(!Array.isArray(value) || value.length <= maxItems, 'has too many items'),
  uniqueItems: ({ value, check }) =>
    check(!Array.isArray(value) || new Set(value.map((item) => JSON.stringify(item))).size === value.length, 'repeats'),
  minLength: ({ schema: { minLength = 0 }, value, check }) =>
    check(typeof value !== 'string' || codePoints(value) >= minLength, 'is too short'),
  maxLength: ({ schema: { maxLength = 0 }, value, check }) =>
    check(typeof value !== 'string' || codePoints(value) <= maxLength, 'is too long'),
  pattern: ({ schema, value, check }) =>
    check(typeof value !== 'string' || new RegExp(schema.pattern ?? '', 'u').test(value), 'does not match the pattern'),
  format: ({ schema: { format = '' }, value, check }) => {
    const pattern = own(FORMATS, format);
    if (pattern === undefined) throw new Error(`No check for the format ${format}`);
    check(typeof value !== 'string' || pattern.test(value), `is not a valid ${format}`);
  },
  contentEncoding: ({ value, check }) => check(typeof value !== 'string' || BASE64.test(value), 'is not base64'),
  minimum: ({ schema: { minimum = 0 }, value, check }) =>
    check(typeof value !== 'number' || value >= minimum, 'is too small'),
  maximum: ({ schema: { maximum = 0 }, value, check }) =>
    check(typeof value !== 'number' || value <= maximum, 'is too large'),
  exclusiveMinimum: ({ schema: { exclusiveMinimum = 0 }, value, check }) =>
    check(typeof value !== 'number' || value > exclusiveMinimum, 'is too small'),
  exclusiveMaximum: ({ schema: { exclusiveMaximum = 0 }, value, check }) =>
    check(typeof value !== 'number' || value < exclusiveMaximum, 'is too large'),
  multipleOf: ({ schema: { multipleOf = 1 }, value, check }) =>
    check(typeof value !== 'number' || value % multipleOf === 0, 'is not a multiple'),
};

/** Lengths count code points (JSON Schema Validation §6.3). */
function codePoints(text: string): number {
  return Array.from(text).length;
}

function checkAny(members: readonly JsonSchema[], value: unknown, options: CheckOptions, at: string): string[] {
  const all = members.map((member) => violations(member, value, options, at));
  if (all.some((one) => one.length === 0)) return [];
  return [`${at === '' ? '/' : at} matches none of its alternatives (${all.map((one) => one[0]).join('; ')})`];
}

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isObject(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

/** A JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
