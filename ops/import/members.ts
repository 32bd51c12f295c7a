import type { OriginalMember } from './read-conversation.ts';
import { ownerOf } from './ids.ts';
import { type Place, type Stay, mergeStays, periodsOf } from './stays.ts';

/** A user of a conversation, from all rows of its devices. */
export interface User {
  readonly user: string;
  readonly stays: readonly Stay[];
  readonly isAdmin: boolean;
  /** Milliseconds since 1970; null = unknown. */
  readonly readAt: number | null;
}

/** A user in the log of Parley. */
export interface ImportedMember {
  readonly user: string;
  readonly isAdmin: boolean;
  readonly joined: Place;
  readonly left: Place | null;
  readonly leftAt: number | null;
  readonly read: Place;
  /** It acted under a token of the original; milliseconds since 1970. */
  readonly provenAt: number | null;
  readonly periods: readonly { readonly joined: Place; readonly left: Place | null }[];
}

/** Joins the rows of a user's devices. @param refuse called for each row whose user id is not allowed */
export function usersOf(rows: readonly OriginalMember[], refuse: () => void): User[] {
  const users = new Map<string, { stays: Stay[]; isAdmin: boolean; readAt: number | null }>();
  for (const { did, user, device, joinedAt, leftAt, isAdmin, lastReadAt } of rows) {
    const owner = ownerOf(did, user, device);
    if (owner === undefined) {
      refuse();
      continue;
    }
    const entry = users.get(owner.user) ?? { stays: [], isAdmin: false, readAt: null };
    entry.stays.push({ from: joinedAt.getTime(), to: leftAt?.getTime() ?? null });
    entry.isAdmin ||= isAdmin && leftAt === null;
    if (lastReadAt !== null) entry.readAt = Math.max(entry.readAt ?? 0, lastReadAt.getTime());
    users.set(owner.user, entry);
  }
  return [...users].map(([user, { stays, ...rest }]) => ({ user, stays: mergeStays(stays), ...rest }));
}

/** Moments at which the log is looked at for the members. */
export function momentsOf(users: readonly User[]): number[] {
  const moments = users.flatMap(({ stays, readAt }) => [
    ...stays.flatMap(({ from, to }) => (to === null ? [from] : [from, to])),
    ...(readAt === null ? [] : [readAt]),
  ]);
  return [...new Set(moments)].sort((a, b) => a - b);
}

/** Whether the user was a member at this time. */
export function wasMember(user: User | undefined, at: number): boolean {
  return user?.stays.some(({ from, to }) => from <= at && (to === null || at <= to)) ?? false;
}

/**
 * The members with their places in the log.
 * @param end what the whole log holds
 * @param noAdmin called when nobody was admin, and the first member became it
 */
export function membersOf(
  users: readonly User[],
  creator: string,
  placeAt: (time: number) => Place,
  end: Place,
  noAdmin: () => void,
): ImportedMember[] {
  const members = users.flatMap(({ user, stays, isAdmin, readAt }) => {
    const periods = periodsOf(stays, placeAt);
    const last = periods.at(-1);
    if (last === undefined) return [];
    const { joined, left } = last;
    const newest = left ?? end;
    const reached = readAt === null ? newest : placeAt(readAt);
    // What was there before it joined does not count as unread.
    const read = reached.seq < joined.seq ? joined : reached.seq > newest.seq ? newest : reached;
    const since = stays.at(-1)?.from ?? 0;
    const acted =
      user === creator && joined.commitSeq === 0 ? since : readAt !== null && readAt >= since ? readAt : null;
    const leftAt = left === null ? null : (stays.at(-1)?.to ?? null);
    return [{ user, isAdmin: isAdmin && left === null, joined, left, leftAt, read, provenAt: acted, periods }];
  });
  const current = members.filter(({ left }) => left === null);
  if (current.length === 0 || current.some(({ isAdmin }) => isAdmin)) return members;
  const heir = current.find(({ user }) => user === creator) ?? current[0];
  // Before the original knew admins, the creator had their rights.
  if (heir?.user !== creator) noAdmin();
  return members.map((member) => (member === heir ? { ...member, isAdmin: true } : member));
}
