import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Draft } from '../../dispatch/submission.ts';
import type { OperationJson } from '../../store/decision/inline-operation.ts';
import { type PolicyChange, makePolicy } from '../../domain/policy.ts';
import { createConversation } from '../../store/conversation/conversations.ts';

/** Operations as the API's routes hand them to a lane, for tests below HTTP. */

const DEADLINE_MS = 10_000;

/** A fresh opaque conversation of `users`; the first is its creator. @returns its id */
export async function createInStore(
  pool: pg.Pool,
  users: readonly string[],
  policy: PolicyChange = {},
): Promise<string> {
  const id = randomBytes(16).toString('base64url');
  await createConversation(pool, {
    id,
    protocol: 'opaque',
    epoch: 0,
    creator: users[0] ?? 'creator',
    members: users,
    policy: makePolicy({ externalJoin: 'nobody', ...policy }, { epochWindow: 2 }),
    fingerprint: randomBytes(32),
  });
  return id;
}

export function messageSubmission(
  conversation: string,
  user: string,
  ciphertext: Uint8Array = randomBytes(24),
  id: string = randomUUID(),
): Draft {
  const operation: OperationJson = {
    kind: 'message',
    id,
    sha256: sha256(ciphertext),
    size: ciphertext.length,
    actor: user,
  };
  return draft(conversation, user, operation, { ciphertext });
}

/** A commit with bytes, from the epoch that it ends. */
export function commitSubmission(
  conversation: string,
  user: string,
  epoch: number,
  change: { adds?: string[]; removes?: string[]; welcome?: Uint8Array } = {},
  ciphertext: Uint8Array = randomBytes(24),
): Draft {
  const { welcome, ...membership } = change;
  const operation: OperationJson = {
    kind: 'commit',
    id: randomUUID(),
    sha256: sha256(ciphertext),
    size: ciphertext.length,
    actor: user,
    epoch,
    ...membership,
  };
  return draft(conversation, user, operation, { ciphertext, ...(welcome === undefined ? {} : { welcome }) });
}

/** An add or remove without a commit: opaque conversations only. */
export function membershipSubmission(
  conversation: string,
  user: string,
  change: { adds: string[] } | { removes: string[] },
): Draft {
  const operation: OperationJson = { kind: 'commit', id: randomUUID(), size: 0, actor: user, ...change };
  return draft(conversation, user, operation);
}

export function readSubmission(conversation: string, user: string): Draft {
  return draft(conversation, user, { kind: 'read', id: randomUUID(), actor: user });
}

export function draft(conversation: string, user: string, operation: OperationJson, bytes?: Draft['bytes']): Draft {
  const deadline = Date.now() + DEADLINE_MS;
  return { conversation, user, operation, bytes, deadline, requestId: `request-${operation.id}` };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
