import type { CommitNote, GroupDevice } from './journal.ts';

/** A removal that is not in the log any more: the restored group has the device again, with keys that work. */
export interface LostRemoval extends GroupDevice {
  /** No other device of the user was left in the group. */
  readonly isWholeUser: boolean;
}

/** An addition that is not in the log any more. */
export interface LostAdd extends GroupDevice {
  /** This device had made it. */
  readonly isOwn: boolean;
}

/** What the lost commits had done to the group, all together. */
export interface LostChanges {
  readonly removals: readonly LostRemoval[];
  readonly adds: readonly LostAdd[];
}

export const NO_CHANGES: LostChanges = { removals: [], adds: [] };

/**
 * What has to be committed again after lost commits. A device that one of them removed and a later one added needs neither. One that
 * was added and then removed is a removal: a member that had read only the addition may repeat it.
 * @param commits in log order
 * @param members users by signature key, after the last lost commit
 * @param earlier what was lost by a restart before, and is not committed again yet
 */
export function lostChanges(
  commits: readonly CommitNote[],
  members: ReadonlyMap<string, string>,
  { removals, adds }: LostChanges = NO_CHANGES,
): LostChanges {
  const removed = new Map<string, LostRemoval>(removals.map((removal) => [removal.key, removal]));
  const added = new Map<string, LostAdd>(adds.map((add) => [add.key, add]));
  /** Devices that the log does not have any more, whatever happened to them later. */
  const absent = new Set(added.keys());
  const users = new Set(members.values());
  for (const commit of commits) {
    for (const { key, user } of commit.removed) {
      added.delete(key);
      removed.set(key, { key, user, isWholeUser: !users.has(user) });
    }
    for (const { key, user } of commit.added) {
      if (!removed.delete(key)) absent.add(key);
      if (absent.has(key)) added.set(key, { key, user, isOwn: commit.isOwn });
    }
  }
  return { removals: [...removed.values()], adds: [...added.values()] };
}

/** Signature keys of the devices in a group that a lost removal had taken out of it. @param members users by signature key */
export function zombies(members: ReadonlyMap<string, string>, removals: readonly LostRemoval[]): string[] {
  const keys = new Set(removals.map(({ key }) => key));
  const users = new Set(removals.filter(({ isWholeUser }) => isWholeUser).map(({ user }) => user));
  // A user that was removed may have joined with another device meanwhile: the restored service takes it for a member.
  return [...members].filter(([key, user]) => keys.has(key) || users.has(user)).map(([key]) => key);
}

/**
 * Users that a lost commit had added, and that have no device in the group. A further device of a member joins by itself.
 * @param members users by signature key
 */
export function missingUsers(members: ReadonlyMap<string, string>, adds: readonly LostAdd[]): string[] {
  const present = new Set(members.values());
  return [...new Set(adds.map(({ user }) => user))].filter((user) => !present.has(user));
}
