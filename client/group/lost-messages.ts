import type { ReceivedMessage, SentMessage } from '../storage/group-store.ts';

/** A message of this device that its log does not have. */
export interface LostMessage {
  /** Message id, as the message itself states it. It stays the same. */
  readonly id: string;
  readonly text: string;
  /** Ids under which the service had accepted it, as far as the device has not read it in the log. */
  readonly entryIds: readonly string[];
}

/**
 * The own messages that are not in the log any more, in the order in which they were sent: those that the device had read there,
 * then those whose acceptance it knows only from the answer to the send. Call it when the log is read to its end.
 * @param own signature key of the device, base64
 */
export function lostMessagesOf(
  { history, sent }: { readonly history: readonly ReceivedMessage[]; readonly sent: ReadonlyMap<string, SentMessage> },
  own: string,
): LostMessage[] {
  const lost = new Map<string, LostMessage>();
  for (const { lost: mark, device, id, text } of history) {
    if (mark !== undefined && device === own && id !== undefined) lost.set(id, { id, text, entryIds: [] });
  }
  for (const [entryId, { text, accepted, messageId: id = entryId }] of sent) {
    if (accepted === undefined) continue;
    lost.set(id, { id, text, entryIds: [...(lost.get(id)?.entryIds ?? []), entryId] });
  }
  return [...lost.values()];
}
