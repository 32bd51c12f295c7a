import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Submission } from '../../dispatch/submission.ts';
import type {
  Command,
  CommandBytes,
  CommitCommand,
  LeaveCommand,
  MessageCommand,
  ReadCommand,
} from '../../domain/command.ts';
import { type PolicyChange, makePolicy } from '../../domain/policy.ts';
import type { StagedCommand } from '../../domain/staged-command.ts';
import { createConversation } from '../../store/conversation/conversations.ts';

/** Commands as the API's services submit them, for tests below HTTP. */

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
  actor: string,
  ciphertext: Uint8Array = randomBytes(24),
  id: string = randomUUID(),
): Submission<MessageCommand> {
  return submission(conversation, { kind: 'message', id, actor, sha256: sha256(ciphertext), bytes: { ciphertext } });
}

/** A commit with bytes, from the epoch that it ends. */
export function commitSubmission(
  conversation: string,
  actor: string,
  epoch: number,
  change: { adds?: string[]; removes?: string[]; welcome?: Uint8Array } = {},
  ciphertext: Uint8Array = randomBytes(24),
): Submission<CommitCommand> {
  const { welcome, ...membership } = change;
  const bytes: CommandBytes = { ciphertext, welcome };
  const id = randomUUID();
  return submission(conversation, {
    kind: 'commit',
    id,
    actor,
    sha256: sha256(ciphertext),
    epoch,
    ...membership,
    bytes,
  });
}

/** An add or remove without a commit: opaque conversations only. */
export function membershipSubmission(
  conversation: string,
  actor: string,
  change: { adds: string[] } | { removes: string[] },
): Submission<CommitCommand> {
  return submission(conversation, { kind: 'commit', id: randomUUID(), actor, ...change });
}

/** The same as updates of version 0.2.0 carry it: whole. */
export function stagedChange(...of: Parameters<typeof membershipSubmission>): StagedCommand {
  return membershipSubmission(...of).command;
}

/** Leaves without a proposal. */
export function leaveSubmission(conversation: string, actor: string): Submission<LeaveCommand> {
  return submission(conversation, { kind: 'leave', id: randomUUID(), actor });
}

export function readSubmission(conversation: string, actor: string): Submission<ReadCommand> {
  return submission(conversation, { kind: 'read', id: randomUUID(), actor });
}

export function submission<C extends Command>(conversation: string, command: C): Submission<C> {
  return { conversation, command, deadline: Date.now() + DEADLINE_MS, correlationId: `request-${command.id}` };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
