import {
  MAX_DEVICE_ID_CHARACTERS,
  MAX_GROUP_ID_BYTES,
  MAX_MESSAGE_ID_CHARACTERS,
  MAX_USER_ID_CHARACTERS,
} from './limits.ts';

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

/** The MLS group_id (RFC 9420 §8.1) in base64url without padding. */
export type ConversationId = Brand<string, 'ConversationId'>;
export type UserId = Brand<string, 'UserId'>;
export type DeviceId = Brand<string, 'DeviceId'>;
/** Id of a message, commit or other operation: 1 to 128 printable ASCII characters. */
export type OperationId = Brand<string, 'OperationId'>;

const BASE64URL = /^[A-Za-z0-9_-]+$/;
const PRINTABLE_ASCII = /^[\x20-\x7e]+$/;
// No control, format-control, surrogate or unassigned code points, and no line or paragraph separators. Two format controls
// are letters of words: U+200C (ZWNJ) is part of Persian spelling, and U+200D (ZWJ) joins emoji and letters of Indic scripts.
const PRINTABLE = /^(?:[^\p{C}\p{Zl}\p{Zp}]|[\u200c\u200d])+$/u;
const ONLY_JOINERS = /^[\u200c\u200d]+$/;

/** Parses a conversation id. @returns undefined if it is not the canonical base64url of 1 to 64 bytes */
export function parseConversationId(text: string): ConversationId | undefined {
  const remainder = text.length % 4;
  const bytes = Math.floor((text.length * 3) / 4);
  if (!BASE64URL.test(text) || remainder === 1 || bytes > MAX_GROUP_ID_BYTES) return undefined;
  // Canonical means that the unused low bits of the last character are zero. So one group_id has exactly one id.
  const last = BASE64URL_ALPHABET.indexOf(text.charAt(text.length - 1));
  if ((remainder === 2 && last % 16 !== 0) || (remainder === 3 && last % 4 !== 0)) return undefined;
  return text as ConversationId;
}

/**
 * Parses a user id: 1 to 255 printable characters. `.` and `..` are not allowed, because URLs cannot contain them. Ids are
 * compared byte by byte, as given: nothing is normalised or folded (docs/explanation/user-ids.md).
 */
export function parseUserId(text: string): UserId | undefined {
  if (text === '.' || text === '..' || text.length > MAX_USER_ID_CHARACTERS || !isPrintable(text)) return undefined;
  return text as UserId;
}

/** Parses a device id (a claim, or the header `Parley-Device`): 1 to 255 printable characters. */
export function parseDeviceId(text: string): DeviceId | undefined {
  return text.length <= MAX_DEVICE_ID_CHARACTERS && isPrintable(text) ? (text as DeviceId) : undefined;
}

function isPrintable(text: string): boolean {
  return PRINTABLE.test(text) && !ONLY_JOINERS.test(text);
}

/** Parses a message or operation id. */
export function parseOperationId(text: string): OperationId | undefined {
  return text.length <= MAX_MESSAGE_ID_CHARACTERS && PRINTABLE_ASCII.test(text) ? (text as OperationId) : undefined;
}

const BASE64URL_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Encodes base64url without padding (RFC 4648 §5). Needed because the workflow sandbox has no Buffer. */
export function base64url(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const chunk = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    const characters = Math.min(bytes.length - i, 3) + 1;
    for (let k = 0; k < characters; k++) text += BASE64URL_ALPHABET.charAt((chunk >> (18 - 6 * k)) & 63);
  }
  return text;
}

/** The device of tokens that name none. Several installs may share it, so its leaves are not known. */
export const DEFAULT_DEVICE = 'default' as DeviceId;
