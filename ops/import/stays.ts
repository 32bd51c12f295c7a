/** A time in which a user was a member. `to` null = it still is. Milliseconds since 1970. */
export interface Stay {
  readonly from: number;
  readonly to: number | null;
}

/**
 * The stays of a user from the rows of its devices: the user was there while one of them was. An end before its begin, which a
 * second removal can write, counts as an end at the begin.
 */
export function mergeStays(rows: readonly Stay[]): Stay[] {
  const merged: { from: number; to: number | null }[] = [];
  for (const { from, to } of [...rows].sort((a, b) => a.from - b.from)) {
    const end = to === null ? null : Math.max(to, from);
    const last = merged.at(-1);
    if (last === undefined || (last.to !== null && last.to < from)) merged.push({ from, to: end });
    else if (last.to !== null) last.to = end === null ? null : Math.max(last.to, end);
  }
  return merged;
}

/** What the log held at some time. */
export interface Place {
  /** The newest entry; 0 = none yet. */
  readonly seq: number;
  /** The newest commit; 0 = none yet. */
  readonly commitSeq: number;
  readonly epoch: number;
  /** Application entries so far. */
  readonly count: number;
}

/** A stay in the log, as the table `period` has it. */
export interface Period {
  /** The joining commit; 0 = there from the start. */
  readonly joined: Place;
  readonly left: Place | null;
}

/**
 * Stays as intervals of the log. A stay begins with the newest commit before it, and ends with the newest entry before its end. Stays
 * that touch there become one.
 */
export function periodsOf(stays: readonly Stay[], placeAt: (time: number) => Place): Period[] {
  const periods: { joined: Place; left: Place | null }[] = [];
  for (const { from, to } of stays) {
    const joined = placeAt(from);
    const end = to === null ? null : placeAt(to);
    const last = periods.at(-1);
    // One that ended before the first entry is empty, but has begun at 1 too.
    const ended = last === undefined ? undefined : Math.max(last.left?.seq ?? Infinity, firstSeq(last.joined));
    if (last !== undefined && ended !== undefined && firstSeq(joined) <= ended) last.left = end;
    else periods.push({ joined, left: end });
  }
  return periods;
}

/** The first entry that a stay may read. */
export function firstSeq(joined: Place): number {
  return Math.max(joined.commitSeq, 1);
}
