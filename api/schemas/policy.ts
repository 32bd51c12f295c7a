import { z } from 'zod';
import {
  DEFAULT_ABANDONED_DAYS,
  DEFAULT_MAX_MEMBERS,
  MAX_EPOCH_WINDOW,
  MAX_MEMBERS_LIMIT,
  MAX_REMOVAL_HOURS,
  MAX_RETENTION_DAYS,
  MAX_VOTE_HOURS,
  MIN_MEMBERS_LIMIT,
} from '../../domain/limits.ts';

const WHO = ['admin', 'member', 'nobody'] as const;
/** @param does what the rule is about */
const who = (does: string): z.ZodEnum<{ admin: 'admin'; member: 'member'; nobody: 'nobody' }> =>
  z.enum(WHO).meta({ description: `Who may ${does}. Default: \`member\`` });
const LastAdmin = z.enum(['hand-over', 'refuse']).meta({
  description:
    'What happens when the last admin leaves. `hand-over`: the member who joined first becomes admin. `refuse`: the last admin may not leave',
});
const retentionDays = (what: string): z.ZodNumber =>
  z
    .number()
    .int()
    .min(1)
    .max(MAX_RETENTION_DAYS)
    .meta({ description: `Days after which the bytes of ${what} are deleted. Absent = never` });
const RetentionDays = retentionDays('application messages');
const CommitRetentionDays = retentionDays('commits and proposals');
const AbandonedDays = z
  .number()
  .int()
  .min(0)
  .max(MAX_RETENTION_DAYS)
  .meta({
    description: `The conversation is deleted so many days after its last member left; 0 = never. Absent = ${DEFAULT_ABANDONED_DAYS} days`,
  });

const VoteAfterHours = z.number().int().min(0).max(MAX_VOTE_HOURS).meta({
  description: 'Hours after which a member that acted under its own token has a vote on a reset; absent = 24',
});

const WhoMayDelete = z.enum(['admin', 'nobody']).meta({
  description:
    'Who may delete the body of a message without its secret: admins, or nobody; absent = `admin`. Whoever shows the secret of a message may always',
});

const RemovalDeadlineHours = z.number().int().min(0).max(MAX_REMOVAL_HOURS).meta({
  description: 'Hours after which the service accepts only commits that remove whom it wants removed; absent = 24',
});

const fields = {
  whoMayAdd: who('add users'),
  whoMayRemove: who('remove others'),
  whoMayPropose: who('send proposals'),
  externalJoin: z.enum(['nobody', 'member', 'request', 'anyone']).meta({
    description:
      'Who may join by external commit. `member`: further devices of members, and members that join again. `request`: also, others may ask to join. `anyone`: everybody may join',
  }),
  groupInfo: z
    .enum(['required', 'optional'])
    .meta({ description: 'Whether a commit must come with the GroupInfo of the epoch that it begins' }),
  maxMembers: z
    .number()
    .int()
    .min(MIN_MEMBERS_LIMIT)
    .max(MAX_MEMBERS_LIMIT)
    .meta({ description: `The greatest number of members. Default: ${DEFAULT_MAX_MEMBERS}` }),
  epochWindow: z
    .number()
    .int()
    .min(0)
    .max(MAX_EPOCH_WINDOW)
    .meta({ description: 'How many epochs behind the current one an application message may be' }),
};

export const Policy = z
  .object({
    ...fields,
    // Conversations of earlier versions do not have this field. They hand over.
    lastAdmin: LastAdmin.optional(),
    retentionDays: RetentionDays.optional(),
    commitRetentionDays: CommitRetentionDays.optional(),
    voteAfterHours: VoteAfterHours.optional(),
    removalDeadlineHours: RemovalDeadlineHours.optional(),
    whoMayDelete: WhoMayDelete.optional(),
    abandonedDays: AbandonedDays.optional(),
  })
  .meta({ id: 'Policy', description: 'Rules of a conversation' });

const stated = z
  .strictObject({
    ...fields,
    lastAdmin: LastAdmin,
    retentionDays: RetentionDays,
    commitRetentionDays: CommitRetentionDays,
    voteAfterHours: VoteAfterHours,
    removalDeadlineHours: RemovalDeadlineHours,
    whoMayDelete: WhoMayDelete,
    abandonedDays: AbandonedDays,
  })
  .partial();

/** Policy of a new conversation. Absent fields get their defaults. */
export const PolicyInput = stated.meta({
  id: 'PolicyInput',
  description: 'Rules of a new conversation. What is left out has its default',
});

/** Changes of a policy. Absent fields stay as they are. `null` takes a number of days away. */
export const PolicyChangeInput = stated
  .extend({
    retentionDays: RetentionDays.nullable().optional(),
    commitRetentionDays: CommitRetentionDays.nullable().optional(),
    abandonedDays: AbandonedDays.nullable().optional(),
  })
  .meta({
    id: 'PolicyChange',
    description: 'Rules to change. What is left out stays; `null` takes a number of days away',
  });
