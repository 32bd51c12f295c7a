import fc from 'fast-check';
import type { Operation } from '../../../tools/fuzz/document.ts';
import { type JsonSchema, type Schemas, isObject, resolve } from '../../../tools/fuzz/json-schema.ts';
import { nounOf, nounOfParameter } from './known.ts';
import type { FuzzRequest } from './sender.ts';
import { validValue } from './values.ts';

export interface ByteWorld {
  readonly schemas: Schemas;
  /** Conversations that get the requests. */
  readonly conversations: readonly string[];
  readonly users: readonly string[];
  /** Users who send. Most of them are members. */
  readonly senders: readonly string[];
  readonly authorization: (user: string) => string;
  /** Undamaged messages that fit a field. */
  readonly frames: (field: string) => readonly Uint8Array[];
  /** Damaged messages for a field, and messages that fit other fields. */
  readonly damaged: (field: string) => fc.Arbitrary<Uint8Array>;
}

/** A request in which at least one message may be damaged. */
export interface ByteAttempt {
  readonly operation: Operation;
  readonly user: string;
  readonly request: FuzzRequest;
  /** Number of damaged messages in it. */
  readonly damaged: number;
}

/** True if the body of the operation has a field for bytes. */
export function takesBytes({ body }: Operation, schemas: Schemas): boolean {
  return body !== undefined && holdsBytes(body, schemas);
}

function holdsBytes(given: JsonSchema, schemas: Schemas): boolean {
  const schema = resolve(schemas, given);
  if (schema.contentEncoding !== undefined) return true;
  const { properties = {}, items, anyOf = [], oneOf = [], allOf = [], additionalProperties } = schema;
  const inner = [...Object.values(properties), ...anyOf, ...oneOf, ...allOf, ...(items === undefined ? [] : [items])];
  return [...inner, ...(isObject(additionalProperties) ? [additionalProperties] : [])].some((one) =>
    holdsBytes(one, schemas),
  );
}

/** Bytes with a mark, so that the damaged ones in a body can be counted. */
interface Bytes {
  readonly bytes: string;
  readonly isDamaged: boolean;
}

/** Requests with valid fields, except that bytes may be damaged. */
export function byteAttempts(operation: Operation, world: ByteWorld): fc.Arbitrary<ByteAttempt> {
  const suggest = (field: string, schema: JsonSchema): fc.Arbitrary<unknown> | undefined => {
    if (schema.contentEncoding !== undefined) return bytesFor(field, world);
    const noun = schema.type === 'string' ? nounOf(operation.template, field) : undefined;
    if (noun === 'user') return fc.constantFrom(...world.users);
    if (noun === 'conversation')
      return operation.template === '/v1/conversations' || field === 'successor'
        ? fc.uint8Array({ minLength: 16, maxLength: 16 }).map((id) => Buffer.from(id).toString('base64url'))
        : fc.constantFrom(...world.conversations);
    return noun === 'message' ? fc.uuid() : undefined;
  };
  const inPath = operation.parameters.filter((one) => one.in === 'path');
  const path = inPath.map(({ name, schema }) => {
    const noun = nounOfParameter(operation.template, name);
    if (noun === 'conversation') return fc.constantFrom(...world.conversations);
    if (noun === 'user') return fc.constantFrom(...world.users);
    return validValue(schema, { schemas: world.schemas, suggest: () => undefined }).map(String);
  });
  return fc
    .record({
      path: fc.tuple(...path),
      body: validValue(operation.body ?? {}, { schemas: world.schemas, suggest }),
      user: fc.constantFrom(...world.senders),
    })
    .map((chosen) => {
      let next = 0;
      let damaged = 0;
      const target = operation.template.replaceAll(/\{\w+\}/g, () => encodeURIComponent(chosen.path[next++] ?? ''));
      const body = JSON.stringify(chosen.body, (_key, value: unknown) => {
        if (!isObject(value) || !('isDamaged' in value)) return value;
        if (value.isDamaged === true) damaged++;
        return value.bytes;
      });
      const headers = { authorization: world.authorization(chosen.user), 'content-type': 'application/json' };
      return { operation, user: chosen.user, request: { method: operation.method, target, headers, body }, damaged };
    });
}

function bytesFor(field: string, world: ByteWorld): fc.Arbitrary<Bytes> {
  const mark =
    (isDamaged: boolean) =>
    (bytes: Uint8Array): Bytes => ({ bytes: Buffer.from(bytes).toString('base64'), isDamaged });
  const whole = world.frames(field);
  const damaged = { arbitrary: world.damaged(field).map(mark(true)), weight: 3 };
  if (whole.length === 0) return fc.oneof(damaged);
  // With valid bytes beside the damaged ones a request gets past more checks.
  return fc.oneof(damaged, { arbitrary: fc.constantFrom(...whole).map(mark(false)), weight: 1 });
}
