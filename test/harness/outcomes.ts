import type { Outcome } from '../../domain/outcome.ts';

/** The seq in an outcome; `undefined` for refusals, and for answers that name no entry. */
export function seqOf(outcome: Outcome): number | undefined {
  return outcome.status !== 'refused' && 'seq' in outcome ? outcome.seq : undefined;
}

/** The epoch in an answer; `undefined` for refusals. */
export function epochOf(outcome: Outcome): number | undefined {
  return outcome.status !== 'refused' && 'epoch' in outcome ? outcome.epoch : undefined;
}
