import { z } from 'zod';
import {
  Base64,
  Bytes,
  Chain,
  Epoch,
  EpochInput,
  Next,
  OperationIdInput,
  Seq,
  Sha256,
  StatedPosition,
  Time,
  UserIds,
} from './common.ts';

export const MemberList = z
  .object({
    members: z.array(
      z.object({ user: z.string(), role: z.enum(['admin', 'member']), joinedSeq: Seq, joinedEpoch: Epoch }),
    ),
    leaving: z.array(z.string()).meta({ description: 'Users who left, and whom no commit has removed yet' }),
    leavingLeaves: z
      .array(
        z.object({
          user: z.string(),
          leaf: Base64.meta({ description: 'SHA-256 of the signature key of the leaf' }),
        }),
      )
      .optional()
      .meta({
        description:
          'Single leaves that should go, and that no commit has removed yet: the old leaf of a device that joined again. Absent = none',
      }),
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
    position: StatedPosition,
  })
  .meta({
    id: 'AddMembers',
    description: 'In `mls` conversations `commit` is required. In `opaque` conversations it is optional',
  });

export const RemoveMember = z
  .strictObject({
    commit: Bytes.optional(),
    groupInfo: Bytes.optional(),
    proposal: Bytes.optional().meta({ description: 'Only to leave: the Remove proposal for your own leaf' }),
    epoch: EpochInput.optional(),
    id: OperationIdInput.optional(),
    position: StatedPosition,
  })
  .meta({ id: 'RemoveMember', description: 'A member cannot commit its own removal: to leave, send no commit' });

export const MembersChanged = z
  .object({ epoch: Epoch, seq: Seq })
  .meta({ id: 'MembersChanged', description: 'The epoch after the change, and the seq of its entry' });

export const RoleInput = z.strictObject({ role: z.enum(['admin', 'member']) }).meta({ id: 'RoleChange' });
export const Role = z.object({ user: z.string(), role: z.enum(['admin', 'member']) }).meta({ id: 'Role' });

export const BarChanged = z
  .object({
    user: z.string(),
    barred: z.boolean().meta({ description: 'Whether the user cannot come back by itself' }),
  })
  .meta({ id: 'BarChanged' });

export const CommitBundle = z
  .strictObject({
    commit: Bytes,
    adds: UserIds.default([]),
    removes: UserIds.default([]),
    welcome: Bytes.optional(),
    groupInfo: Bytes.optional(),
    epoch: EpochInput.optional(),
    id: OperationIdInput.optional(),
    position: StatedPosition,
  })
  .meta({
    id: 'CommitBundle',
    description: 'A commit and the changes that become valid with it. The service stores all of them, or none',
  });

export const CommitAccepted = z
  .object({ seq: Seq, epoch: Epoch, sha256: Sha256, at: Time, chain: Chain })
  .meta({ id: 'CommitAccepted', description: '`epoch` is the new epoch' });
