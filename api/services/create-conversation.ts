import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { z } from 'zod';
import { AppError } from '../../domain/errors.ts';
import type { UserId } from '../../domain/ids.ts';
import { MIN_MLS_GROUP_ID_BYTES } from '../../domain/limits.ts';
import { type Policy, type PolicyChange, makePolicy } from '../../domain/policy.ts';
import { createConversation, viewConversation } from '../../store/conversation/conversations.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import type { NewConversation } from '../schemas/conversations.ts';
import { type GroupInfoFacts, inspectGroupInfo } from './group-info.ts';

type Request = z.output<typeof NewConversation>;

/** A conversation right after its creation, or as it stands when the creation is repeated. */
export interface Created {
  readonly isNew: boolean;
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  readonly createdAt: string;
}

/** @throws AppError `malformed`, `wrong-group`, `group-info-mismatch`, `too-many-members`, `conversation-exists` */
export type CreateConversation = (request: Request, creator: UserId) => Promise<Created>;

export function makeCreateConversation(deps: {
  readonly pool: pg.Pool;
  readonly notifier: Pick<Notifier, 'entry'>;
  /** Of policies that state none. */
  readonly epochWindow: number;
  /** Bytes of a ratchet tree up to which it is looked at. */
  readonly treeCheckMaxBytes: number;
}): CreateConversation {
  return async (request, creator) => {
    const members = [...new Set([creator, ...request.members])].sort();
    const policy = makePolicy(request.policy, deps);
    check(request, members, policy);
    await checkGroup(request, members, deps.treeCheckMaxBytes);
    const { id, protocol, epoch, groupInfo } = request;
    const fingerprint = fingerprintOf(request, members);
    const result = await createConversation(deps.pool, {
      id,
      protocol,
      epoch,
      creator,
      members,
      policy,
      groupInfo,
      fingerprint,
    });
    if (result === 'conversation-exists') throw new AppError('conversation-exists');
    if (result === 'created') deps.notifier.entry(id, 0, true);
    const view = await viewConversation(deps.pool, id, creator);
    // Deleted since: its id is never used again.
    if (view === undefined) throw new AppError('conversation-exists');
    return {
      isNew: result === 'created',
      id,
      protocol,
      epoch: view.epoch,
      lastSeq: view.lastSeq,
      memberCount: view.memberCount,
      createdAt: view.createdAt.toISOString(),
    };
  };
}

function check({ id, protocol }: Request, members: readonly string[], policy: Policy): void {
  const groupId = Buffer.from(id, 'base64url');
  if (protocol === 'mls' && groupId.length < MIN_MLS_GROUP_ID_BYTES) {
    throw new AppError('malformed', `The id of an MLS group has at least ${MIN_MLS_GROUP_ID_BYTES} bytes`);
  }
  if (members.length > policy.maxMembers) throw new AppError('too-many-members');
}

/** Checks that the GroupInfo is of the group as the creator states it. */
async function checkGroup(
  { id, protocol, epoch, groupInfo }: Request,
  members: readonly string[],
  treeCheckMaxBytes: number,
): Promise<void> {
  if (groupInfo === undefined || protocol === 'opaque') return;
  const conversation = { id, protocol, groupId: Buffer.from(id, 'base64url') };
  const facts = await inspectGroupInfo(conversation, groupInfo, treeCheckMaxBytes).catch(notAhead);
  if (facts.epoch !== epoch) throw new AppError('group-info-mismatch', `The GroupInfo must be of epoch ${epoch}`);
  const { usersInTree } = facts;
  if (usersInTree !== undefined && !sameUsers(usersInTree, members)) {
    throw new AppError('membership-mismatch', 'The tree of the GroupInfo must hold exactly the members');
  }
}

function sameUsers(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((user) => other.includes(user));
}

/** No epoch is ahead of a conversation that does not exist yet: it only differs from the stated one. */
function notAhead(error: unknown): GroupInfoFacts {
  if (error instanceof AppError && error.code === 'epoch-ahead') return {};
  throw error;
}

/** sha256 over what the creator stated, whatever the order it stated it in. */
function fingerprintOf({ protocol, epoch, groupInfo, policy }: Request, members: readonly string[]): Buffer {
  const rules = Object.entries(policy satisfies PolicyChange).sort(([a], [b]) => (a < b ? -1 : 1));
  const content = [protocol, epoch, members, rules, groupInfo?.toString('base64') ?? null];
  return createHash('sha256').update(JSON.stringify(content)).digest();
}
