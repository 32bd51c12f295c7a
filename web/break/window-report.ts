/** What one window tells the others of this browser about a conversation: places and ids, nothing of what was said. */
export interface WindowReport {
  /** Names the window, until its page goes. */
  readonly window: string;
  readonly user: string;
  readonly conversation: string;
  /** It is a member, online, and has nothing to repair: what it has not read is missing. */
  readonly isSettled: boolean;
  /** It vouches for what comes after this place of the log. */
  readonly after: number;
  /** Last place that it has read. */
  readonly upTo: number;
  /** Places between, first and last, that it could not read: it was no member, or had to join again. */
  readonly blind: readonly (readonly [first: number, last: number])[];
  /** Places whose message was deleted: some windows never saw it. */
  readonly deleted: readonly number[];
  /** Place and id of each message, in the order of the log. */
  readonly read: readonly (readonly [seq: number, id: string])[];
}

/** Something that does not fit between two windows. */
export interface Difference {
  readonly kind: 'lost' | 'disordered';
  readonly id: string;
}

/** Where two windows do not have the same log, as far as both vouch for it. */
export function differences(one: WindowReport, other: WindowReport): Difference[] {
  if (!one.isSettled || !other.isSettled) return [];
  const after = Math.max(one.after, other.after);
  const upTo = Math.min(one.upTo, other.upTo);
  const isCommon = (seq: number): boolean =>
    seq > after && seq <= upTo && [one, other].every(({ blind, deleted }) => !isHidden(seq, blind, deleted));
  const [ones, others] = [one, other].map(({ read }) => new Map(read.filter(([seq]) => isCommon(seq)))) as [
    Map<number, string>,
    Map<number, string>,
  ];
  const found: Difference[] = [];
  for (const [seq, id] of ones) {
    const there = others.get(seq);
    if (there !== id) found.push({ kind: there === undefined ? 'lost' : 'disordered', id });
  }
  for (const [seq, id] of others) if (!ones.has(seq)) found.push({ kind: 'lost', id });
  return found;
}

function isHidden(seq: number, blind: WindowReport['blind'], deleted: readonly number[]): boolean {
  return deleted.includes(seq) || blind.some(([first, last]) => seq >= first && seq <= last);
}
