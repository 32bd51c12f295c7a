/** Everything that an import may have to say about what it found, in the order of the report. */
const FINDINGS = {
  'duplicate-epochs':
    'commits of an epoch that another commit has too: each got an epoch of its own. Members may have forked',
  'missing-epochs': 'epochs without a commit: the commits were numbered so that the last one starts the current epoch',
  'epoch-raised': 'conversations with more commits than epochs: their current epoch is higher than in the original',
  'duplicate-seqs': 'messages without a seq of their own: they were numbered in order of time',
  'missing-seqs': 'gaps in seq: the numbers after them moved down',
  'moved-epochs': 'messages of an epoch outside the window of its time: they count as messages of the nearest one',
  'repeated-ids': 'messages with the id of an earlier one: they have the id of their row',
  'unknown-senders': 'messages whose sender was no member at the time: they have no sender',
  oversized: 'messages larger than Parley accepts today: they can be read',
  expired: 'messages whose time was over: left out, as the original hides them',
  'no-read-position': 'members without a read position: all that is there counts as read',
  'no-admin': 'conversations without an admin: the member who joined first became admin',
  'bad-user': 'rows of members with an id that Parley does not allow: left out',
  'no-members': 'conversations without members: deleted after the time that the policy says',
  'lost-welcomes':
    'Welcomes that cannot be carried (no commit, no member, or other bytes for the same commit): add these users again',
  'key-packages-refused':
    'key packages that Parley refuses (expired, another identity, not valid): devices upload new ones',
  'bad-id': 'conversations whose id does not fit into 64 bytes: left out',
  taken: 'conversations whose id is in use in Parley, by none of the imports: left out',
  'changed-on-both-sides':
    'conversations that changed in the original and in Parley since they were imported: left as they are in Parley',
  failed: 'conversations that could not be written: run the import again',
} as const;

export type Finding = keyof typeof FINDINGS;

/** Findings that a person must look at: the import did not carry the whole conversation. */
export const LEFT_OUT: readonly Finding[] = ['bad-id', 'taken', 'changed-on-both-sides', 'failed'];

/** One line of a report. */
export interface FindingLine {
  readonly finding: Finding;
  readonly meaning: string;
  readonly count: number;
  /** The first ones it was found in: ids of conversations of the original, or of key packages. */
  readonly examples: readonly string[];
}

/** Collects findings. Its size does not depend on how many there are. */
export interface Findings {
  /** @param count 0 is no finding */
  readonly add: (finding: Finding, where: string, count?: number) => void;
  readonly count: (finding: Finding) => number;
  /** Adds what another one has collected. */
  readonly join: (other: Findings) => void;
  readonly lines: () => FindingLine[];
}

const EXAMPLES = 5;

export function collectFindings(): Findings {
  const found = new Map<Finding, { count: number; examples: string[] }>();
  const add = (finding: Finding, count: number, where: readonly string[]): void => {
    if (count <= 0) return;
    const entry = found.get(finding) ?? { count: 0, examples: [] };
    entry.count += count;
    entry.examples = [...new Set([...entry.examples, ...where])].slice(0, EXAMPLES);
    found.set(finding, entry);
  };
  return {
    add: (finding, where, count = 1) => add(finding, count, [where]),
    join: (other) => {
      for (const { finding, count, examples } of other.lines()) add(finding, count, examples);
    },
    count: (finding) => found.get(finding)?.count ?? 0,
    lines: () =>
      (Object.entries(FINDINGS) as [Finding, string][]).flatMap(([finding, meaning]) => {
        const entry = found.get(finding);
        return entry === undefined ? [] : [{ finding, meaning, ...entry }];
      }),
  };
}
