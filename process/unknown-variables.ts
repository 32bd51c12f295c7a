/** Prefixes that nobody else uses: an unknown name behind one is a mistake. */
const OUR_PREFIXES = [
  'CONVERSATION_',
  'RATE_LIMIT_',
  'JWT_',
  'LANE_',
  'STREAM_',
  'KEY_PACKAGE_',
  'WORKFLOW_',
  'PARLEY_',
];
/** Names that others set for us: the supervisor of the local stack, the demo, and service links of Kubernetes. */
const FOREIGN = /^PARLEY_(SUPERVISED|URL)$|_SERVICE_(HOST|PORT)(_|$)|_PORT(_\d+_(TCP|UDP)(_|$)|$)/;
/** Shorter names have too many honest neighbours (HOME and HOST). */
const MIN_LENGTH = 8;
const MAX_DISTANCE = 2;

/** Variables that look like ours and are not: one sentence for each. */
export function findMisspelt(names: readonly string[], known: readonly string[]): string[] {
  const problems: string[] = [];
  for (const name of names) {
    if (known.includes(name) || FOREIGN.test(name)) continue;
    const nearest = known
      .filter((candidate) => candidate.length >= MIN_LENGTH)
      .map((candidate) => ({ candidate, distance: editDistance(name, candidate) }))
      .sort((a, b) => a.distance - b.distance)[0];
    if (nearest !== undefined && nearest.distance <= MAX_DISTANCE) {
      problems.push(`${name} is unknown: did you mean ${nearest.candidate}?`);
    } else if (OUR_PREFIXES.some((prefix) => name.startsWith(prefix))) {
      problems.push(`${name} is unknown`);
    }
  }
  return problems;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > MAX_DISTANCE) return Infinity;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? Infinity;
}
