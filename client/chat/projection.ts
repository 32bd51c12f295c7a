import type { MlsGroup } from '../group/group.ts';
import type { OutboxMessage } from '../group/group-messages.ts';
import { toBase64 } from '../platform/bytes.ts';
import type { ReceivedMessage } from '../storage/group-store.ts';
import type { ChatConversation, ChatMember, ChatMessage, MessageState, Safety } from './chat.ts';

/** What a conversation shows beside its group. */
export interface Beside {
  readonly unread: number;
  readonly typing: readonly string[];
  readonly isJoining: boolean;
}

export function conversationOf(group: MlsGroup, { unread, typing, isJoining }: Beside): ChatConversation {
  const last = lastOf(group);
  const { successor } = group;
  return {
    ...{ id: group.id, members: membersOf(group), unread, epoch: group.epoch, typing },
    ...(last === undefined ? {} : { last }),
    state: stateOf(group, isJoining),
    requests: group.joinRequests.map(({ ref, user, signatureKey }) => ({ ref, user, device: toBase64(signatureKey) })),
    ...(successor === undefined ? {} : { successor }),
  };
}

function lastOf(group: MlsGroup): ChatMessage | undefined {
  const waiting = group.outbox.at(-1);
  if (waiting !== undefined) return outgoing(group, waiting);
  const read = group.history.at(-1);
  return read === undefined ? undefined : received(group, read);
}

/** In the order of the log; those that it does not have yet come last. */
export function messagesOf(group: MlsGroup): ChatMessage[] {
  return [
    ...group.history.map((message) => received(group, message)),
    ...group.outbox.map((one) => outgoing(group, one)),
  ];
}

export function received(group: MlsGroup, message: ReceivedMessage): ChatMessage {
  const { seq, sender, device = '', text, lost, at = 0, isDeleted = false } = message;
  const id = message.id === undefined ? `seq-${seq}` : idOf(group, device, message.id);
  const state: MessageState = lost === undefined ? { kind: 'seen', seq } : { kind: 'lost', seq };
  const isOwn = device === group.ownDevice;
  return { id, conversation: group.id, sender, device, text, isOwn, isDeleted, at, state };
}

export function outgoing(group: MlsGroup, { id: stated, text, at, state }: OutboxMessage): ChatMessage {
  const own = { sender: group.user, device: group.ownDevice, isOwn: true, isDeleted: false };
  const id = idOf(group, group.ownDevice, stated);
  return { id, conversation: group.id, text, at, state, ...own };
}

/** Ids that this file makes. */
const MADE = /~|^seq-\d+$/;

/**
 * Each sender chooses the ids of its messages, so two may have one: the first in the log keeps it. Else who repeats the id of an older
 * message would have what is done with that one done with its own, or the other way round.
 */
export function idOf(group: MlsGroup, device: string, stated: string): string {
  const isFirst = (group.claimant(stated) ?? device) === device;
  return isFirst && !MADE.test(stated) ? stated : `${stated}~${device}`;
}

export function safetyOf(group: MlsGroup): Safety {
  const { epoch, epochAuthenticator, verified, agreed, ownDevice: device } = group;
  return {
    ...{ epoch, epochAuthenticator, members: membersOf(group), device, agreed: Object.fromEntries(agreed) },
    ...(verified === undefined ? {} : { position: verified }),
  };
}

function membersOf(group: MlsGroup): ChatMember[] {
  const devices = new Map<string, string[]>();
  for (const { user, device } of group.leaves)
    if (user !== undefined) devices.set(user, [...(devices.get(user) ?? []), device]);
  return [...devices].map(([user, keys]) => ({ user, devices: keys })).sort((a, b) => (a.user < b.user ? -1 : 1));
}

function stateOf(group: MlsGroup, isJoining: boolean): ChatConversation['state'] {
  if (isJoining) return 'joining';
  if (group.isRemoved) return 'removed';
  return group.isRestarting ? 'repairing' : 'joined';
}
