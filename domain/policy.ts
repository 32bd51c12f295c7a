import { DEFAULT_MAX_MEMBERS } from './limits.ts';

/** Who may do a thing: admins, any member, or nobody. */
export type Who = 'admin' | 'member' | 'nobody';

/** Rules of one conversation; stored whole, changed by an admin. */
export interface Policy {
  readonly whoMayAdd: Who;
  readonly whoMayRemove: Who;
  readonly whoMayPropose: Who;
  /** Who may join by an external commit: nobody, further devices of members, or anyone. */
  readonly externalJoin: 'nobody' | 'member' | 'anyone';
  readonly groupInfo: 'required' | 'optional';
  readonly maxMembers: number;
  /** Epochs an application message may lag behind the current one. */
  readonly epochWindow: number;
  /** Days that application bodies are kept; absent = for ever. */
  readonly retentionDays?: number | undefined;
  /** Days that commits are kept at most when a device still needs them; absent = 4 x `retentionDays`. */
  readonly commitRetentionDays?: number | undefined;
  /** When the last admin leaves: the longest-standing member becomes admin, or it may not leave. */
  readonly lastAdmin: 'hand-over' | 'refuse';
}

/** What a creator or admin may state; the rest stays as it is. */
export type PolicyChange = { readonly [K in keyof Policy]?: Policy[K] | undefined };

/** The policy of a conversation whose creator stated `change`. */
export function makePolicy(change: PolicyChange, defaults: { epochWindow: number }): Policy {
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
    ...(change.retentionDays === undefined ? {} : { retentionDays: change.retentionDays }),
    ...(change.commitRetentionDays === undefined ? {} : { commitRetentionDays: change.commitRetentionDays }),
  };
}
