import damerauLevenshtein from 'damerau-levenshtein';

/** Prefixes that only Parley uses: an unknown name with one of them is a mistake. */
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
/** Names that other programs set: the supervisor of the local stack, those who use the demo and the operator's program, and service links of Kubernetes. */
const FOREIGN =
  /^PARLEY_(?:SUPERVISED|URL|TOKEN|TOKEN_FILE)$|_SERVICE_(?:HOST|PORT)(?:_|$)|_PORT(?:_\d+_(?:TCP|UDP)(?:_|$)|$)/;
/** Shorter known names are similar to too many correct names of other programs (HOME and HOST). */
const MIN_LENGTH = 8;
/** Typing errors: insertions, deletions, replacements, and swaps of two neighbours. */
const MAX_DISTANCE = 2;

/**
 * Finds environment variables that look like ours but are not.
 * @param names names that are set
 * @param known names that Parley reads
 * @returns one sentence for each unknown variable
 */
export function findUnknownVariables(names: readonly string[], known: readonly string[]): string[] {
  const problems: string[] = [];
  for (const name of names) {
    if (known.includes(name) || FOREIGN.test(name)) continue;
    const nearest = nearestName(name, known);
    if (nearest !== undefined) problems.push(`${name} is unknown: did you mean ${nearest}?`);
    else if (OUR_PREFIXES.some((prefix) => name.startsWith(prefix))) problems.push(`${name} is unknown`);
  }
  return problems;
}

function nearestName(name: string, known: readonly string[]): string | undefined {
  const [nearest] = known
    .filter(({ length }) => length >= MIN_LENGTH && Math.abs(length - name.length) <= MAX_DISTANCE)
    .map((candidate) => ({ candidate, distance: damerauLevenshtein(name, candidate).steps }))
    .filter(({ distance }) => distance <= MAX_DISTANCE)
    .sort((a, b) => a.distance - b.distance);
  return nearest?.candidate;
}
