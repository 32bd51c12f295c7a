/** What the supervisor does when a conversation is in trouble. */
export const STRATEGIES = [
  /** A conversation in trouble is restarted alone. Conversations share nothing, so there is no `one-for-all`. */
  'one-for-one',
  /** Nothing is restarted: trouble is found and reported. */
  'report-only',
] as const;
export type Strategy = (typeof STRATEGIES)[number];

/** Bounds of a number of the policy. */
export interface PolicyBounds {
  readonly standard: number;
  readonly min: number;
  readonly max: number;
  /** False: fractions are allowed. */
  readonly isWhole: boolean;
  readonly meaning: string;
}

/** The numbers of the policy. Names that end in `Ms` are milliseconds. */
export const POLICY_NUMBERS = {
  intervalMs: whole(5000, 250, 60_000, 'Pause between two rounds.'),
  looks: whole(2, 1, 20, 'Rounds in a row that must see a sign before anything is done about it.'),
  taskAttempts: whole(3, 2, 100, 'Attempts of a workflow task after which it counts as failing for ever.'),
  patienceMs: whole(6000, 500, 20_000, 'Time for a run to answer before it is taken for wedged.'),
  overdueMs: whole(600_000, 60_000, 86_400_000, 'Age of a due time that counts as long past.'),
  maxPerRound: whole(50, 1, 200, 'Restarts in one round.'),
  backoffInitialMs: whole(1000, 100, 600_000, 'Pause before the second restart of a conversation.'),
  backoffMaxMs: whole(60_000, 100, 3_600_000, 'Longest pause between two restarts of a conversation.'),
  backoffFactor: fraction(2, 1, 10, 'The next pause is longer by this factor.'),
  backoffJitter: fraction(0.5, 0, 1, 'Share of a pause that is left to chance, so that not all come back at once.'),
  maxRestarts: whole(3, 1, 20, 'Restarts of one conversation within the window. Then it is given up.'),
  windowMs: whole(600_000, 1000, 86_400_000, 'The window in which restarts and escalations count.'),
  buckets: whole(16, 1, 256, 'Buckets over which conversations are spread by a hash of their id.'),
  bucketEscalations: whole(
    3,
    1,
    100,
    'Conversations given up in one bucket within the window. Then the bucket is stopped.',
  ),
  serviceEscalations: whole(3, 1, 100, 'Buckets stopped within the window. Then nothing is restarted any more.'),
} as const satisfies Readonly<Record<string, PolicyBounds>>;
export type PolicyNumber = keyof typeof POLICY_NUMBERS;

/** The policy of the supervisor (docs/explanation/supervisor.md). */
export type SupervisionPolicy = { readonly strategy: Strategy } & Readonly<Record<PolicyNumber, number>>;

const NAMES = Object.keys(POLICY_NUMBERS) as PolicyNumber[];

export const DEFAULT_POLICY: SupervisionPolicy = {
  strategy: 'one-for-one',
  ...(Object.fromEntries(NAMES.map((name) => [name, POLICY_NUMBERS[name].standard])) as Record<PolicyNumber, number>),
};

/**
 * Reads a stored policy. Fields that are missing have their default.
 * @returns `undefined` when a field has a value that this version does not allow
 */
export function parsePolicy(value: unknown): SupervisionPolicy | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const given = new Map<string, unknown>(Object.entries(value));
  const strategy = STRATEGIES.find((one) => one === (given.get('strategy') ?? DEFAULT_POLICY.strategy));
  if (strategy === undefined) return undefined;
  const numbers: Partial<Record<PolicyNumber, number>> = {};
  for (const name of NAMES) {
    const number = given.get(name) ?? POLICY_NUMBERS[name].standard;
    if (!isWithin(number, POLICY_NUMBERS[name])) return undefined;
    numbers[name] = number;
  }
  return { strategy, ...(numbers as Record<PolicyNumber, number>) };
}

function isWithin(value: unknown, { min, max, isWhole }: PolicyBounds): value is number {
  return typeof value === 'number' && value >= min && value <= max && (!isWhole || Number.isInteger(value));
}

function whole(standard: number, min: number, max: number, meaning: string): PolicyBounds {
  return { standard, min, max, isWhole: true, meaning };
}

function fraction(standard: number, min: number, max: number, meaning: string): PolicyBounds {
  return { standard, min, max, isWhole: false, meaning };
}
