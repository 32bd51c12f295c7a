import { randomBytes } from 'node:crypto';
import type { Entry, OutgoingMessage, ParleyClient, Policy, SendResult } from '../../client/index.ts';
import { newId, toBase64 } from '../../client/index.ts';

/** Small helpers around opaque conversations: no MLS framing, and the server sequences commits that state no epoch. */

export function newConversationId(): string {
  return randomBytes(16).toString('base64url');
}

export function randomCiphertext(size = 48): string {
  return toBase64(randomBytes(size));
}

export function newMessage(epoch?: number): OutgoingMessage {
  return { id: newId(), ciphertext: randomCiphertext(), ...(epoch === undefined ? {} : { epoch }) };
}

/** `user-0`, `user-1`, ... */
export function users(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `user-${i}`);
}

/** A fresh opaque conversation of the client's user and `members`. @returns its id */
export async function createOpaque(
  client: ParleyClient,
  members: readonly string[] = [],
  policy: Partial<Policy> = {},
): Promise<string> {
  const id = newConversationId();
  await client.createConversation({ id, protocol: 'opaque', members, policy: { externalJoin: 'nobody', ...policy } });
  return id;
}

/** Sends `count` messages, one request after another. */
export async function sendInOrder(client: ParleyClient, conversation: string, count: number): Promise<SendResult[]> {
  const results: SendResult[] = [];
  for (let i = 0; i < count; i++) results.push(await client.send(conversation, newMessage()));
  return results;
}

/** `count` things at once. */
export function atOnce<T>(count: number, run: (i: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => run(i)));
}

/** 1, 2, ... `last`. */
export function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, i) => i + 1);
}

export function ascending(numbers: readonly number[]): number[] {
  return [...numbers].sort((a, b) => a - b);
}

/** The whole log, as one reader sees it. */
export async function readLog(client: ParleyClient, conversation: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let after: number | undefined = 0; after !== undefined;) {
    const page = await client.log(conversation, { after, limit: 1000 });
    entries.push(...page.entries);
    after = page.next;
  }
  return entries;
}
