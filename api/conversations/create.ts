import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { z } from 'zod';
import { AppError } from '../../domain/errors.ts';
import type { UserId } from '../../domain/ids.ts';
import { MIN_MLS_GROUP_ID_BYTES } from '../../domain/limits.ts';
import { type Policy, type PolicyChange, makePolicy } from '../../domain/policy.ts';
import { createConversation, viewConversation } from '../../store/conversations.ts';
import type { NewConversation } from '../schemas/conversations.ts';
import { checkGroupInfo } from './frames.ts';

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
  /** Of policies that state none. */
  readonly epochWindow: number;
}): CreateConversation {
  return async (request, creator) => {
    const members = [...new Set([creator, ...request.members])].sort();
    const policy = makePolicy(request.policy, deps);
    check(request, members, policy);
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

function check({ id, protocol, epoch, groupInfo }: Request, members: readonly string[], policy: Policy): void {
  const groupId = Buffer.from(id, 'base64url');
  if (protocol === 'mls' && groupId.length < MIN_MLS_GROUP_ID_BYTES) {
    throw new AppError('malformed', `The id of an MLS group has at least ${MIN_MLS_GROUP_ID_BYTES} bytes`);
  }
  if (groupInfo !== undefined) checkGroupInfo({ id, protocol, groupId }, groupInfo, epoch);
  if (members.length > policy.maxMembers) throw new AppError('too-many-members');
}

/** sha256 over what the creator stated, whatever the order it stated it in. */
function fingerprintOf({ protocol, epoch, groupInfo, policy }: Request, members: readonly string[]): Buffer {
  const rules = Object.entries(policy satisfies PolicyChange).sort(([a], [b]) => (a < b ? -1 : 1));
  const content = [protocol, epoch, members, rules, groupInfo?.toString('base64') ?? null];
  return createHash('sha256').update(JSON.stringify(content)).digest();
}
