import { base64url, parseConversationId, parseDeviceId, parseOperationId, parseUserId } from '../../domain/ids.ts';
import { MAX_GROUP_ID_BYTES } from '../../domain/limits.ts';

// How ids of the original become ids of Parley. All of these are pure.

/** A user, and the device where a row names one; '' = every device of the user. */
export interface Owner {
  readonly user: string;
  readonly device: string;
}

const HEX = /^(?:[0-9a-f]{2})+$/i;

/**
 * The id of a conversation. The original's id is the MLS group id in hex. Older conversations have another id, and perhaps a group
 * id of their own; without one the text of the id serves.
 * @returns undefined when neither fits into 64 bytes
 */
export function conversationIdOf(id: string, groupId: string | null): string | undefined {
  for (const candidate of [id, groupId ?? '']) {
    if (HEX.test(candidate) && candidate.length <= 2 * MAX_GROUP_ID_BYTES) {
      return parseConversationId(base64url(Buffer.from(candidate, 'hex')));
    }
  }
  const text = Buffer.from(id, 'utf8');
  return text.length === 0 || text.length > MAX_GROUP_ID_BYTES ? undefined : base64url(text);
}

/**
 * The user and the device of a DID. Rows of devices have `did#device`; the columns for user and device say it where they are filled.
 * @returns undefined when Parley allows no such user id
 */
export function ownerOf(did: string, user: string | null, device: string | null): Owner | undefined {
  const [before = '', ...after] = did.split('#');
  const parsedUser = parseUserId(user ?? before);
  if (parsedUser === undefined) return undefined;
  const named = device ?? after.join('#');
  return { user: parsedUser, device: parseDeviceId(named) ?? '' };
}

/** The id of an entry: the client's id, else the id of the row. */
export function messageIdOf(rowId: string, clientId: string | null): string | undefined {
  return parseOperationId(clientId ?? '') ?? parseOperationId(rowId);
}
