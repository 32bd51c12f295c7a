import { z } from 'zod';
import { decodeBase64 } from '../../compute/base64.ts';
import { type LongText, isLongText } from '../../compute/json.ts';
import { parseConversationId, parseDeviceId, parseOperationId, parseUserId } from '../../domain/ids.ts';
import { POSITION_PATTERN, type Position, parsePosition } from '../../domain/position.ts';
import {
  DEFAULT_PAGE,
  MAX_DEVICE_ID_CHARACTERS,
  MAX_MEMBERS_LIMIT,
  MAX_MESSAGE_ID_CHARACTERS,
  MAX_PAGE,
  MAX_SAFE_EPOCH,
  MAX_USER_ID_CHARACTERS,
} from '../../domain/limits.ts';

type Meta = Parameters<z.ZodString['meta']>[0];

/** A string that a parser accepts. `meta` describes it in the OpenAPI document. */
function parsed<T>(parse: (text: string) => T | undefined, message: string, meta: Meta) {
  return z
    .string()
    .transform((text, context): T => {
      const value = parse(text);
      if (value !== undefined) return value;
      context.addIssue(message);
      return z.NEVER;
    })
    .meta({ type: 'string', ...meta });
}

/** Bytes in a request: at least one. Long strings were decoded together with the body. */
export const Bytes = z
  .union([z.custom<LongText>(isLongText), z.string()], { error: 'Invalid input: expected string' })
  .transform((text, context): Buffer => {
    const bytes = isLongText(text) ? text() : decodeBase64(text);
    if (bytes !== undefined && bytes.length > 0) return bytes;
    context.addIssue('must be standard base64 with padding (RFC 4648 §4), of at least one byte');
    return z.NEVER;
  })
  .meta({ type: 'string', contentEncoding: 'base64', minLength: 4, example: 'AAEAAg==' });

/** Ids in answers: they were checked when they came. */
export const ConversationId = z.string().meta({
  description: 'Conversation id: base64url (no padding) of the MLS group_id',
  example: 'q83vEjRWeJASNFZ4kBI0Vg',
});
export const UserId = z.string().meta({ description: 'User id', example: 'did:example:alice' });
export const DeviceId = z.string().meta({ description: 'Device id', example: 'phone' });
export const OperationId = z.string().meta({
  description: 'Id that its sender gave the operation, or that the service made for it',
  example: 'example-1',
});
/** Numbers of things in answers. */
export const MemberCount = z.number().int().meta({ description: 'Number of members' });
export const UnreadCount = z
  .number()
  .int()
  .meta({ description: 'Application messages of others after the read position, and explicit increments' });
export const Protocol = z.enum(['mls', 'opaque']).meta({
  description: '`mls`: the service reads the framing of MLS messages and checks it. `opaque`: bytes of any protocol',
});
export const MemberRole = z.enum(['admin', 'member']).meta({ description: 'Role in the conversation' });

/** Bytes in an answer. */
export const Base64 = z.base64().meta({ type: 'string', contentEncoding: 'base64' });
/** What MLS messages are in, in requests and answers. */
export const MLS_BYTES = {
  commit: 'The commit, an MLSMessage (RFC 9420 §12.4)',
  welcome: 'The Welcome for the new members, an MLSMessage (RFC 9420 §12.4.3.1)',
  groupInfo: 'The GroupInfo of the epoch that begins, an MLSMessage (RFC 9420 §12.4.3)',
} as const;
export const Sha256 = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .meta({ description: 'sha256 over the decoded bytes, as lower-case hex' });
/** Value of the chain before an entry. */
export const ChainBefore = z.base64().optional().meta({
  type: 'string',
  contentEncoding: 'base64',
  description:
    'Value of the chain before this entry, 32 bytes: only of an entry that begins a block, for example the one with which you joined',
});
/** A value of the chain over the log. */
export const Chain = z.base64().optional().meta({
  type: 'string',
  contentEncoding: 'base64',
  description:
    'Value of the chain over the log up to this entry, 32 bytes (docs/reference/log-chain.md). Absent: the entry is older than the chain',
});
export const Time = z.iso.datetime({ offset: true }).meta({ type: 'string', format: 'date-time' });

export const ConversationIdInput = parsed(parseConversationId, 'must be base64url, without padding, of 1 to 64 bytes', {
  description: 'base64url (no padding) of the MLS group_id, 1 to 64 bytes; 16 or more for `mls`',
  pattern: '^[A-Za-z0-9_-]{2,86}$',
  example: 'q83vEjRWeJASNFZ4kBI0Vg',
});
export const UserIdInput = parsed(
  parseUserId,
  `must be 1 to ${MAX_USER_ID_CHARACTERS} printable characters, not . or ..`,
  { minLength: 1, maxLength: MAX_USER_ID_CHARACTERS, description: 'User id', example: 'did:example:alice' },
);
export const DeviceIdInput = parsed(parseDeviceId, `must be 1 to ${MAX_DEVICE_ID_CHARACTERS} printable characters`, {
  minLength: 1,
  maxLength: MAX_DEVICE_ID_CHARACTERS,
  description: 'Device id, the claim `device` of its tokens',
  example: 'phone',
});
export const OperationIdInput = parsed(
  parseOperationId,
  `must be 1 to ${MAX_MESSAGE_ID_CHARACTERS} printable ASCII characters`,
  {
    minLength: 1,
    maxLength: MAX_MESSAGE_ID_CHARACTERS,
    description: 'Id that makes a retry the same operation',
    example: 'example-1',
  },
);
export const UserIds = z.array(UserIdInput).max(MAX_MEMBERS_LIMIT).meta({ description: 'User ids' });

export const Epoch = z.number().int().min(0).max(MAX_SAFE_EPOCH).meta({ description: 'MLS epoch' });
/** An epoch in a request. An epoch that no conversation can reach passes here, and is refused later with `epoch-ahead`. */
export const EpochInput = z
  .number()
  .min(0)
  .refine((value) => Number.isInteger(value), 'must be a whole number')
  .meta({
    type: 'integer',
    minimum: 0,
    description: 'MLS epoch. In `mls` conversations the MLS message contains it too, and both must be equal',
  });
export const Incarnation = z.string().meta({
  description:
    'Which branch of its history the service is on. Another value: its database was restored, or a copy took over',
});
export const Seq = z.number().int().min(0).meta({ description: 'Position in the log, from 1' });

/** A whole number in a query. */
export function wholeNumber(min: number, max: number): z.ZodType<number, string> {
  return parsed(
    (text) => (/^\d{1,16}$/.test(text) && Number(text) >= min && Number(text) <= max ? Number(text) : undefined),
    `must be a whole number from ${min} to ${max}`,
    { type: 'integer', minimum: min, maximum: max },
  );
}
export const Limit = wholeNumber(1, MAX_PAGE)
  .optional()
  .transform((limit = DEFAULT_PAGE) => limit)
  .meta({
    type: 'integer',
    minimum: 1,
    maximum: MAX_PAGE,
    default: DEFAULT_PAGE,
    description: 'The greatest number of elements of the answer',
  });
export const SeqQuery = wholeNumber(0, MAX_SAFE_EPOCH).meta({ description: 'Position in the log' });

/** A position or a plain seq, as text: in queries, headers and bodies. */
export const PositionText = parsed(
  parsePosition,
  'must be a seq, or a position: `<seq>.<first 12 bytes of the value of the chain there, base64url>`',
  { pattern: POSITION_PATTERN, example: '7.SnIKT3VOB9J7jEGM' },
);
/** The same in a body, where a plain seq may be a number too. */
export const PositionInput = z
  .union([PositionText, z.number().int().min(0)])
  .transform((given): Position => (typeof given === 'number' ? { seq: given } : given))
  .meta({
    anyOf: [
      { type: 'string', pattern: POSITION_PATTERN },
      { type: 'integer', minimum: 0 },
    ],
    description: 'A position of the log, or a seq. Only a position says which log you have read',
    example: '7.SnIKT3VOB9J7jEGM',
  });
/** A position in an answer. */
export const PositionAnswer = z.string().meta({
  pattern: POSITION_PATTERN,
  description:
    'Position in the log: `<seq>.<first 12 bytes of chain, base64url>` (docs/reference/log-chain.md). Only the seq where the chain has no value',
  example: '7.SnIKT3VOB9J7jEGM',
});
/** What an operation states. */
export const StatedPosition = PositionInput.optional().meta({
  description:
    'How far you have read the log. If the log does not go on from there, the answer is `log-restarted`, and nothing is stored',
  example: '7.SnIKT3VOB9J7jEGM',
});

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text in a cursor; `undefined` if it is not the canonical base64url of UTF-8. */
function readCursor(cursor: string): string | undefined {
  const bytes = Buffer.from(cursor, 'base64url');
  if (bytes.toString('base64url') !== cursor) return undefined;
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * A cursor of a list that is in order of what `parse` accepts, for example ids: it contains the last one of the previous
 * page. It is opaque for clients, and can be sent with anything in it: only what the list can contain passes.
 * @returns a schema whose value is `undefined` without a cursor
 */
export function cursorOf<T>(
  parse: (text: string) => T | undefined,
  { from = 'the `next` of an earlier page', description = '`next` of the previous page' } = {},
): z.ZodOptional<z.ZodType<T, string>> {
  return parsed(
    (cursor) => {
      const text = readCursor(cursor);
      return text === undefined ? undefined : parse(text);
    },
    `must be ${from}`,
    { description },
  ).optional();
}

/** A key of a table: a whole number from 1. */
export function parseKey(text: string): number | undefined {
  return /^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined;
}

export const Next = z
  .string()
  .optional()
  .meta({ description: 'Value of `cursor` for the next page. Absent on the last page' });

/** The cursor of the page after an id. */
export function cursorAfter(id: string): string {
  return Buffer.from(id, 'utf8').toString('base64url');
}

export const ConversationsPageQuery = z.strictObject({ cursor: cursorOf(parseConversationId), limit: Limit });
export const UsersPageQuery = z.strictObject({ cursor: cursorOf(parseUserId), limit: Limit });
export const ConversationParams = z.object({ id: ConversationIdInput });
export const MemberParams = z.object({ id: ConversationIdInput, user: UserIdInput });
export const EntryParams = z.object({
  id: ConversationIdInput,
  seq: wholeNumber(1, MAX_SAFE_EPOCH).meta({ description: 'Position of the entry in the log' }),
});
export const EmptyBody = z.strictObject({}).meta({ id: 'Nothing', description: 'No field is known' });
