import type { TroubleSign } from '../trouble.ts';
import type { SupervisionPolicy } from './policy.ts';

/** Small facts about a sign, for operators: no users, no content, no parameter values. */
export type Details = Readonly<Record<string, string | number | boolean>>;

/** A conversation with a sign of trouble. Nobody has verified it yet. */
export interface Suspect {
  readonly conversation: string;
  readonly sign: TroubleSign;
  readonly details: Details;
}

/** A run that failed: the next operation starts a new one, so it has healed itself. */
export interface FailedRun {
  readonly conversation: string;
  readonly runId: string;
}

/** Who does not answer, so that no restart would help. `drain`: operators have taken the workflow path out of use. */
export type Away = 'postgres' | 'workers' | 'drain';

/** What the supervisor sees in one round. */
export interface Look {
  /** Absent when Postgres did not answer. */
  readonly policy?: SupervisionPolicy;
  /** Changes when an operator sets the policy, also to what it was. */
  readonly policyMark: string;
  /** One for each conversation: the sign that explains the others. */
  readonly suspects: readonly Suspect[];
  readonly failedRuns: readonly FailedRun[];
  readonly away?: Away;
  /** Where the next round goes on with its sample of runs. */
  readonly sampleFrom: string;
}

/** What was done about a conversation. */
export type Outcome =
  /** Its run was ended, and a new one was started from Postgres. */
  | 'restarted'
  /** Its run answers, has ended, or may still heal itself. */
  | 'untouched'
  /** The same, but the sign stays: it was reported. */
  | 'reported'
  /** It could not be found out, or a restart failed: Temporal or Postgres did not answer. */
  | 'unknown';

/** Signs by how much they explain: a locked row is the reason for time-outs, and a failing task for a full mailbox. */
const STRONGEST_FIRST: readonly TroubleSign[] = [
  'blocked',
  'task-failures',
  'disagrees',
  'timeouts',
  'overdue',
  'infrastructure',
  'mailbox-full',
];

/** One suspect for each conversation. */
export function strongest(suspects: readonly Suspect[]): Suspect[] {
  const found = new Map<string, Suspect>();
  for (const suspect of suspects) {
    const known = found.get(suspect.conversation);
    if (known === undefined || rank(suspect) < rank(known)) found.set(suspect.conversation, suspect);
  }
  return [...found.values()];
}

function rank({ sign }: Suspect): number {
  return STRONGEST_FIRST.indexOf(sign);
}

/** A restart cannot mend these: a held row, a Postgres that does not answer. */
const ONLY_REPORTED: readonly TroubleSign[] = ['blocked', 'infrastructure'];

/** Whether a restart can mend the cause of this sign. */
export function canBeMended(sign: TroubleSign): boolean {
  return !ONLY_REPORTED.includes(sign);
}
