import damerauLevenshtein from 'damerau-levenshtein';
import type { Places } from './configuration-error.ts';
import { VARIABLES } from './config-variables.ts';
import { SECRET_FILE_NAMES } from './secret-files.ts';

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
/** Names that are no settings of a process of the service, but of the programs around it. */
const OF_PROGRAMS = [
  ...['PARLEY_SUPERVISED', 'PARLEY_ENV_FILE', 'PARLEY_URL', 'PARLEY_TOKEN', 'PARLEY_TOKEN_FILE'],
  ...[
    'TEMPORAL_CLI_PATH',
    'TEMPORAL_TEST_SERVER_PATH',
    'TEMPORAL_DEBUG',
    'PROMETHEUS_PATH',
    'GRAFANA_PATH',
    'GRAFANA_HOME',
  ],
  ...['ORIGINAL_DATABASE_URL', 'TEST_DATABASE_URL', 'TEST_TEMPORAL_ADDRESS'],
];
/** Names that only docker-compose.yml reads. */
const OF_COMPOSE = ['PROXY_PORT', 'TEMPORAL_HISTORY_SHARDS'];
/** Every name that a process of the service reads. */
const OF_THE_SERVICE: readonly string[] = [...Object.keys(VARIABLES), ...SECRET_FILE_NAMES];
/** Every name that anything of Parley reads. */
export const KNOWN_NAMES: readonly string[] = [...OF_THE_SERVICE, ...OF_PROGRAMS, ...OF_COMPOSE];

/** What Kubernetes sets in every container of a namespace for a service with such a name. */
const SERVICE_LINK_NAME = /_SERVICE_(?:HOST|PORT)(?:_|$)|_PORT_\d+_(?:TCP|UDP)(?:_|$)/;
const SERVICE_LINK_VALUE = /^(?:tcp|udp|sctp):\/\//i;
/** Shorter known names are similar to too many correct names of other programs (HOME and HOST). */
const MIN_LENGTH = 8;
/** Typing errors: insertions, deletions, replacements, and swaps of two neighbours. */
const MAX_DISTANCE = 2;

/**
 * Finds environment variables that look like ours but are not.
 * @param env variables by name; an empty one counts as unset
 * @param places of the variables that come from a file. Whoever read the file has looked at their names
 * @returns one sentence for each unknown variable
 */
export function findUnknownVariables(env: Readonly<NodeJS.ProcessEnv>, places: Places = {}): string[] {
  return Object.entries(env).flatMap(([name, value = '']) => {
    if (value.trim() === '' || Object.hasOwn(places, name)) return [];
    if (KNOWN_NAMES.includes(name) || SERVICE_LINK_NAME.test(name) || SERVICE_LINK_VALUE.test(value)) return [];
    const nearest = nearestName(name);
    if (nearest !== undefined) return [didYouMean(name, nearest)];
    return OUR_PREFIXES.some((prefix) => name.startsWith(prefix)) ? [`${name} is unknown`] : [];
  });
}

/**
 * The same for a file of ours, where every name should be known.
 * @param isForeign whether another program may read this name there
 */
export function unknownInFile(name: string, isForeign: boolean): string | undefined {
  if (KNOWN_NAMES.includes(name)) return undefined;
  const nearest = nearestName(name, true);
  if (nearest !== undefined) return didYouMean(name, nearest);
  return isForeign ? undefined : `${name} is unknown`;
}

function didYouMean(name: string, nearest: string): string {
  return `${name} is unknown: did you mean ${nearest}?`;
}

/**
 * The known name that was meant: in other letters, behind our name, with letters swapped, or with a typing error.
 * @param isOurs no shell and no other program sets names here, so that short names can be compared too
 */
function nearestName(name: string, isOurs = false): string | undefined {
  const upper = name.toUpperCase();
  const bare = upper.replace(/^PARLEY_/, '');
  const same = KNOWN_NAMES.find((known) => known === upper || (known === bare && upper !== bare));
  // `host` and `port` in small letters belong to shells and other programs.
  if (same !== undefined && (isOurs || name === upper || name.length >= MIN_LENGTH)) return same;
  const [nearest] = KNOWN_NAMES.map((known) => ({ known, steps: stepsBetween(upper, known) }))
    .filter(({ known, steps }) => {
      if (known.length >= MIN_LENGTH) return steps <= MAX_DISTANCE;
      return steps === 1 && (isOurs || isSwapped(name, known));
    })
    .sort((a, b) => a.steps - b.steps);
  return nearest?.known;
}

function stepsBetween(a: string, b: string): number {
  return Math.abs(a.length - b.length) > MAX_DISTANCE ? Infinity : damerauLevenshtein(a, b).steps;
}

/** Whether the letters are the same in another order: the only typing error in a short name that no other program's name has. */
function isSwapped(name: string, known: string): boolean {
  const sorted = (text: string): string => Array.from(text).sort().join('');
  return sorted(name) === sorted(known);
}
