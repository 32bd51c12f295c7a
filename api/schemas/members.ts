import { z } from 'zod';
import {
  Base64,
  Bytes,
  Chain,
  Epoch,
  EpochInput,
  MLS_BYTES,
  MemberRole,
  Next,
  OperationIdInput,
  Seq,
  Sha256,
  StatedPosition,
  Time,
  UserId,
  UserIds,
} from './common.ts';

export const MemberList = z
  .object({
    members: z
      .array(
        z.object({
          user: UserId,
          role: MemberRole,
          joinedSeq: Seq.meta({ description: 'The entry with which it joined last; 0 = with the creation' }),
          joinedEpoch: Epoch.meta({ description: 'The epoch that began with it' }),
        }),
      )
      .meta({ description: 'In order of user id' }),
    leaving: z.array(z.string()).meta({ description: 'Users who left, and whom no commit has removed yet' }),
    leavingLeaves: z
      .array(
        z.object({
          user: UserId,
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
  .meta({ id: 'MemberList', description: 'A page of the members' });

export const AddMembers = z
  .strictObject({
    users: UserIds.min(1).meta({ description: 'Users who become members' }),
    commit: Bytes.optional().meta({ description: MLS_BYTES.commit }),
    welcome: Bytes.optional().meta({ description: MLS_BYTES.welcome }),
    groupInfo: Bytes.optional().meta({ description: MLS_BYTES.groupInfo }),
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
    commit: Bytes.optional().meta({ description: MLS_BYTES.commit }),
    groupInfo: Bytes.optional().meta({ description: MLS_BYTES.groupInfo }),
    proposal: Bytes.optional().meta({ description: 'Only to leave: the Remove proposal for your own leaf' }),
    epoch: EpochInput.optional(),
    id: OperationIdInput.optional(),
    position: StatedPosition,
  })
  .meta({ id: 'RemoveMember', description: 'A member cannot commit its own removal: to leave, send no commit' });

export const MembersChanged = z
  .object({ epoch: Epoch, seq: Seq })
  .meta({ id: 'MembersChanged', description: 'The epoch after the change, and the seq of its entry' });

export const RoleInput = z
  .strictObject({ role: MemberRole })
  .meta({ id: 'RoleChange', description: 'The role that a member gets' });
export const Role = z
  .object({ user: UserId, role: MemberRole })
  .meta({ id: 'Role', description: 'The role of a member' });

export const BarChanged = z
  .object({
    user: UserId,
    barred: z.boolean().meta({ description: 'Whether the user cannot come back by itself' }),
  })
  .meta({ id: 'BarChanged', description: 'Whether a user is barred now' });

export const CommitBundle = z
  .strictObject({
    commit: Bytes.meta({ description: MLS_BYTES.commit }),
    adds: UserIds.default([]).meta({
      description: 'Users of whom the commit adds devices. One may be a member already, who gets further devices',
    }),
    removes: UserIds.default([]).meta({ description: 'Users of whom the commit removes all devices' }),
    welcome: Bytes.optional().meta({ description: `${MLS_BYTES.welcome}. Required if the commit adds devices` }),
    groupInfo: Bytes.optional().meta({
      description: `${MLS_BYTES.groupInfo}. Required unless the policy says otherwise`,
    }),
    epoch: EpochInput.optional(),
    id: OperationIdInput.optional(),
    position: StatedPosition,
  })
  .meta({
    id: 'CommitBundle',
    description: 'A commit and the changes that become valid with it. The service stores all of them, or none',
  });

export const CommitAccepted = z
  .object({
    seq: Seq,
    epoch: Epoch.meta({ description: 'The new epoch' }),
    sha256: Sha256,
    at: Time.meta({ description: 'When it was accepted' }),
    chain: Chain,
  })
  .meta({ id: 'CommitAccepted', description: 'Where the commit stands in the log' });
