import { DEFAULT_MAX_MEMBERS, DEFAULT_REMOVAL_HOURS, DEFAULT_VOTE_HOURS } from './limits.ts';

/** Who is allowed to do something: admins, any member, or nobody. */
export type Who = 'admin' | 'member' | 'nobody';

/** The rules of a conversation. They are stored together, and an admin may change them. */
export interface Policy {
  readonly whoMayAdd: Who;
  readonly whoMayRemove: Who;
  readonly whoMayPropose: Who;
  /**
   * Who may join with an external commit: nobody, more devices of members, or anyone. `request`: more devices of members, and
   * anyone may ask to be added.
   */
  readonly externalJoin: 'nobody' | 'member' | 'request' | 'anyone';
  readonly groupInfo: 'required' | 'optional';
  readonly maxMembers: number;
  /** Number of epochs that an application message may be behind the current epoch. */
  readonly epochWindow: number;
  /** The bodies of application messages are kept for this many days. Absent = for ever. */
  readonly retentionDays?: number | undefined;
  /** Commits that a device still needs are kept for at most this many days. Absent = 4 x `retentionDays`. */
  readonly commitRetentionDays?: number | undefined;
  /**
   * The conversation is deleted so many days after its last member left. 0 = never. Absent =
   * `DEFAULT_ABANDONED_DAYS`.
   */
  readonly abandonedDays?: number | undefined;
  /**
   * When the last admin leaves: the member who joined first becomes admin (`hand-over`), or the admin may not leave
   * (`refuse`).
   */
  readonly lastAdmin: 'hand-over' | 'refuse';
  /** A member has a vote on a reset when it was proven for so many hours (store/repair/vote.sql). Absent = 24. */
  readonly voteAfterHours?: number | undefined;
  /** Whether admins may delete the bodies of messages of others. Absent = `admin`: they may. */
  readonly whoMayDelete?: 'admin' | 'nobody' | undefined;
  /** So many hours after the service wants leaves removed, only commits that obey are accepted. Absent = 24. */
  readonly removalDeadlineHours?: number | undefined;
}

/** A change of the policy by a creator or admin. Absent fields keep their value. */
export type PolicyChange = { readonly [K in keyof Policy]?: Policy[K] | undefined };

/** What the operator's configuration says about new conversations. */
export interface PolicyDefaults {
  readonly epochWindow: number;
  /** @default 24 */
  readonly voteAfterHours?: number;
}

/** The policy of a new conversation. @param change the fields that its creator sets */
export function makePolicy(change: PolicyChange, defaults: PolicyDefaults): Policy {
  const voteAfterHours = change.voteAfterHours ?? defaults.voteAfterHours ?? DEFAULT_VOTE_HOURS;
  const removalDeadlineHours = change.removalDeadlineHours ?? DEFAULT_REMOVAL_HOURS;
  const externalJoin = change.externalJoin ?? 'member';
  return {
    whoMayAdd: change.whoMayAdd ?? 'member',
    whoMayRemove: change.whoMayRemove ?? 'member',
    whoMayPropose: change.whoMayPropose ?? 'member',
    externalJoin,
    groupInfo: change.groupInfo ?? (externalJoin === 'nobody' ? 'optional' : 'required'),
    maxMembers: change.maxMembers ?? DEFAULT_MAX_MEMBERS,
    epochWindow: change.epochWindow ?? defaults.epochWindow,
    lastAdmin: change.lastAdmin ?? 'hand-over',
    ...(voteAfterHours === DEFAULT_VOTE_HOURS ? {} : { voteAfterHours }),
    ...(removalDeadlineHours === DEFAULT_REMOVAL_HOURS ? {} : { removalDeadlineHours }),
    ...(change.whoMayDelete === undefined ? {} : { whoMayDelete: change.whoMayDelete }),
    ...(change.retentionDays === undefined ? {} : { retentionDays: change.retentionDays }),
    ...(change.commitRetentionDays === undefined ? {} : { commitRetentionDays: change.commitRetentionDays }),
    ...(change.abandonedDays === undefined ? {} : { abandonedDays: change.abandonedDays }),
  };
}
