import type { ConversationPath } from '../../dispatch/executor.ts';
import type { Fault } from './fault.ts';
import type { Impact } from './impact.ts';

/** What clients may notice when Temporal or the workers are away and the path is `auto`. */
const MESSAGE_GAP_MS = 1000;
const COMMIT_GAP_MS = 2000;
const BACK_MS = 10_000;

/** A target, and whether it was met. They are printed, and never asserted: they are about time. */
export interface Bound {
  readonly target: string;
  readonly measured: string;
  readonly isMet: boolean;
}

export function boundsOf({ isBounded = false }: Fault, path: ConversationPath, impact: Impact): readonly Bound[] {
  const { bystanders, failed, gaps, healedAt, workflowAt } = impact;
  const count = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);
  const bound = (target: string, measured: string, isMet: boolean): Bound => ({ target, measured, isMet });
  if (bystanders !== undefined) {
    return [
      bound('no failed try of others', String(bystanders.failed), bystanders.failed === 0),
      bound('messages of others: gap 1 s', seconds(bystanders.message), bystanders.message <= MESSAGE_GAP_MS),
    ];
  }
  if (!isBounded || path !== 'auto') return [];
  const back = workflowAt === undefined ? Infinity : workflowAt - healedAt;
  return [
    bound('no failed send', String(count(failed.message)), count(failed.message) === 0),
    bound('no failed commit', String(count(failed.commit)), count(failed.commit) === 0),
    bound('messages: gap 1 s', seconds(gaps.message), gaps.message <= MESSAGE_GAP_MS),
    bound('commits: gap 2 s', seconds(gaps.commit), gaps.commit <= COMMIT_GAP_MS),
    bound('back within 10 s', seconds(back), back <= BACK_MS),
  ];
}

/** For people. */
export function seconds(ms: number | undefined): string {
  return ms === undefined || !Number.isFinite(ms) ? 'never' : `${(ms / 1000).toFixed(1)} s`;
}
