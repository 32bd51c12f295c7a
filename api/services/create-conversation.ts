import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId, UserId } from '../../domain/ids.ts';
import { type Policy, type PolicyChange, makePolicy } from '../../domain/policy.ts';
import type { GroupChecks } from '../../compute/group-checks.ts';
import type { JobOwner, Jobs } from '../../compute/jobs.ts';
import type { GroupInfoFacts } from '../../mls/group-info.ts';
import { createConversation, viewConversation } from '../../store/conversation/conversations.ts';
import { markGroupInfo } from '../../store/group-info/group-info.ts';
import { noteCreatorLeaf } from '../../store/membership/leaves.ts';
import type { Caller } from '../http/caller.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import { refuseShortGroupId } from './group-id.ts';
import { refusalError } from './operations.ts';

/** A new conversation as its creator states it. */
export interface ConversationInput {
  readonly id: ConversationId;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  /** Need not include the creator. */
  readonly members: readonly UserId[];
  readonly groupInfo?: Buffer | undefined;
  readonly policy: PolicyChange;
}

/** A conversation right after its creation, or its current state if the same creation was repeated. */
export interface Created {
  readonly isNew: boolean;
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  readonly createdAt: string;
}

/** @throws AppError `malformed`, `wrong-group`, `group-info-mismatch`, `too-many-members`, `conversation-exists`, `consent-required`, `rate-limited` */
export type CreateConversation = (
  input: ConversationInput,
  caller: Pick<Caller, 'user' | 'device'>,
  owner: JobOwner,
) => Promise<Created>;

export function makeCreateConversation(deps: {
  readonly pool: pg.Pool;
  readonly jobs: Jobs;
  readonly groupChecks: GroupChecks;
  readonly notifier: Pick<Notifier, 'entry'>;
  /** Epoch window of a policy that states none. */
  readonly epochWindow: number;
  /** Hours after which a proven member has a vote, in a policy that states none. */
  readonly voteAfterHours: number;
  /** Ratchet trees up to this size in bytes are checked. */
  readonly treeCheckMaxBytes: number;
}): CreateConversation {
  const { jobs } = deps;
  return async (input, { user: creator, device }, owner) => {
    const members = [...new Set([creator, ...input.members])].sort();
    const policy = makePolicy(input.policy, deps);
    check(input, members, policy);
    const facts = await checkGroup(input, { creator, owner, members, policy }, deps);
    const { id, protocol, epoch, groupInfo } = input;
    const content = { protocol, epoch, members, groupInfo, policy: input.policy };
    const fingerprint = await jobs.run('fingerprint', owner, content);
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
    if (typeof result !== 'string') throw refusalError(result);
    if (result === 'conversation-exists') throw new AppError('conversation-exists');
    if (result === 'created') deps.notifier.entry(id, 0, true);
    if (result === 'created' && groupInfo !== undefined && facts?.cipherSuite !== undefined) {
      const sha256 = await jobs.run('sha256', owner, groupInfo);
      await markGroupInfo(deps.pool, id, { sha256, cipherSuite: facts.cipherSuite });
      await noteCreatorLeaf(deps.pool, id, { user: creator, device, leaf: facts.signerLeaf });
    }
    const view = await viewConversation(deps.pool, id, creator);
    // It was deleted in the meantime. Its id is never used again.
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

function check({ id, protocol }: ConversationInput, members: readonly string[], policy: Policy): void {
  if (protocol === 'mls') refuseShortGroupId(id);
  if (members.length > policy.maxMembers) throw new AppError('too-many-members');
}

/** Checks that the GroupInfo belongs to the group that the creator states. @returns `undefined`: there is none to check */
async function checkGroup(
  { id, protocol, epoch, groupInfo }: ConversationInput,
  { creator, owner, members, policy }: { creator: UserId; owner: JobOwner; members: readonly string[]; policy: Policy },
  { groupChecks, treeCheckMaxBytes: maxTreeBytes }: { groupChecks: GroupChecks; treeCheckMaxBytes: number },
): Promise<GroupInfoFacts | undefined> {
  if (groupInfo === undefined || protocol === 'opaque') return undefined;
  const groupId = Buffer.from(id, 'base64url');
  const input = { groupId, user: creator, groupInfo, isNewGroup: true, maxTreeBytes };
  const facts = await groupChecks.groupInfo(owner, input).catch(notAhead);
  if (facts?.epoch !== epoch) throw new AppError('group-info-mismatch', `The GroupInfo must be for epoch ${epoch}`);
  refuseLacks(facts, policy);
  const { usersInTree } = facts;
  if (usersInTree !== undefined && !sameUsers(usersInTree, members)) {
    throw new AppError('membership-mismatch', 'The ratchet tree in the GroupInfo must contain exactly the members');
  }
  return facts;
}

/** The same rule as group_info_refusal() in the database has for later GroupInfos. */
function refuseLacks({ lacks = [] }: GroupInfoFacts, policy: Policy): void {
  if (policy.groupInfo !== 'required') return;
  const [lack] = lacks.filter((one) => one !== 'external_pub' || policy.externalJoin !== 'nobody');
  if (lack === undefined) return;
  const what = { external_pub: 'external_pub', ratchet_tree: 'a ratchet tree', cipher_suite: 'a cipher suite' }[lack];
  throw new AppError('group-info-mismatch', `The policy requires a GroupInfo with ${what} that the service can check`);
}

function sameUsers(one: readonly string[], other: readonly string[]): boolean {
  const users = new Set(other);
  return one.length === users.size && one.every((user) => users.has(user));
}

/**
 * Accepts an epoch that is too large for any conversation. `epoch-ahead` has no meaning before the creation: such an epoch
 * is only different from the stated epoch.
 */
function notAhead(error: unknown): undefined {
  if (error instanceof AppError && error.code === 'epoch-ahead') return undefined;
  throw error;
}
