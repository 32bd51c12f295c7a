import { z } from 'zod';
import { Bytes, Epoch, EpochInput, Next, OperationIdInput, Seq, Sha256, Time, UserIds } from './common.ts';

export const MemberList = z
  .object({
    members: z.array(
      z.object({ user: z.string(), role: z.enum(['admin', 'member']), joinedSeq: Seq, joinedEpoch: Epoch }),
    ),
    leaving: z.array(z.string()).meta({ description: 'Those who left and whom no commit has removed yet' }),
    next: Next,
  })
  .meta({ id: 'MemberList' });

export const AddMembers = z
  .strictObject({
    users: UserIds.min(1),
    commit: Bytes.optional(),
    welcome: Bytes.optional(),
    groupInfo: Bytes.optional(),
    epoch: EpochInput.optional(),
    id: OperationIdInput.optional(),
  })
  .meta({ id: 'AddMembers', description: 'In `mls` with a commit; in `opaque` it may be absent' });

export const RemoveMember = z
  .strictObject({
    commit: Bytes.optional(),
    groupInfo: Bytes.optional(),
    proposal: Bytes.optional().meta({ description: 'Leaving only: the own Remove proposal' }),
    epoch: EpochInput.optional(),
    id: OperationIdInput.optional(),
  })
  .meta({ id: 'RemoveMember', description: 'Nobody can commit the own removal: whoever leaves sends no commit' });

export const MembersChanged = z
  .object({ epoch: Epoch, seq: Seq })
  .meta({ id: 'MembersChanged', description: 'The epoch after the change, and the entry that made it' });

export const RoleInput = z.strictObject({ role: z.enum(['admin', 'member']) }).meta({ id: 'RoleChange' });
export const Role = z.object({ user: z.string(), role: z.enum(['admin', 'member']) }).meta({ id: 'Role' });

export const CommitBundle = z
  .strictObject({
    commit: Bytes,
    adds: UserIds.default([]),
    removes: UserIds.default([]),
    welcome: Bytes.optional(),
    groupInfo: Bytes.optional(),
    epoch: EpochInput.optional(),
    id: OperationIdInput.optional(),
  })
  .meta({ id: 'CommitBundle', description: 'A commit with all that becomes true with it, or with none of it' });

export const CommitAccepted = z
  .object({ seq: Seq, epoch: Epoch, sha256: Sha256, at: Time })
  .meta({ id: 'CommitAccepted', description: '`epoch` is the new one' });
