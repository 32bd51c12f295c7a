import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import { MIN_MLS_GROUP_ID_BYTES } from '../../domain/limits.ts';

/** Refuses an id that is too short for an MLS group. @throws AppError `malformed` */
export function refuseShortGroupId(id: ConversationId): void {
  if (Buffer.from(id, 'base64url').length >= MIN_MLS_GROUP_ID_BYTES) return;
  throw new AppError('malformed', `The id of an MLS group must have at least ${MIN_MLS_GROUP_ID_BYTES} bytes`);
}
