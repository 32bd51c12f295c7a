import { randomBytes } from 'node:crypto';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';

/** A fresh conversation id of 16 bytes. */
export function newConversationId(): string {
  return randomBytes(16).toString('base64url');
}

/** Standard base64. */
export function base64(bytes: Uint8Array | string): string {
  return Buffer.from(bytes).toString('base64');
}

/** Creates a conversation over HTTP, to which commits without a GroupInfo may come. @returns its id */
export async function createConversation(
  service: InProcessApi,
  members: readonly string[] = [],
  more: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const id = newConversationId();
  const policy = { groupInfo: 'optional', ...(more.policy as object | undefined) };
  const body = { id, members, ...more, policy };
  const answer = await service.ask('POST /v1/conversations', { user: 'alice', body });
  if (answer.status !== 201) throw new Error(`not created: ${answer.text}`);
  return id;
}
