import type { Outcome } from './outcome.ts';

/** `count` accepted messages in a row: seq, seq + 1, ... of one epoch. */
export interface AcceptedRun {
  readonly status: 'run';
  readonly count: number;
  readonly seq: number;
  readonly epoch: number;
}

/**
 * Outcomes as they travel through Temporal. A full batch of accepted messages is one item instead of 256. This keeps
 * histories small: the same list stands in the local activity's marker and in the update's result.
 */
export type PackedOutcome = Outcome | AcceptedRun;

/** Packs outcomes: accepted messages in a row become one item. */
export function packOutcomes(outcomes: readonly Outcome[]): PackedOutcome[] {
  const packed: PackedOutcome[] = [];
  for (const outcome of outcomes) {
    const run = asRun(outcome);
    const last = packed.at(-1);
    if (run !== undefined && last?.status === 'run' && last.epoch === run.epoch && last.seq + last.count === run.seq) {
      packed[packed.length - 1] = { ...last, count: last.count + 1 };
    } else {
      packed.push(run ?? outcome);
    }
  }
  return packed;
}

/** The outcomes of a packed list, one for each command; not yet checked against the kinds of the commands. */
export function unpackOutcomes(packed: readonly PackedOutcome[]): Outcome[] {
  return packed.flatMap((item) => (item.status === 'run' ? messagesOf(item) : [item]));
}

function messagesOf({ count, seq, epoch }: AcceptedRun): Outcome<'message'>[] {
  return Array.from({ length: count }, (_, i) => ({ status: 'accepted', seq: seq + i, epoch }));
}

/** The packed outcomes of commands `from` to `from + count`: the answer of one update in a shared batch. */
export function slicePacked(packed: readonly PackedOutcome[], from: number, count: number): PackedOutcome[] {
  const slice: PackedOutcome[] = [];
  let position = 0;
  for (const item of packed) {
    const length = item.status === 'run' ? item.count : 1;
    const start = Math.max(from, position);
    const end = Math.min(from + count, position + length);
    if (start < end) {
      slice.push(item.status === 'run' ? { ...item, seq: item.seq + start - position, count: end - start } : item);
    }
    position += length;
  }
  return slice;
}

/** A plain accepted message (nothing but seq and epoch) as a run of one. */
function asRun(outcome: Outcome): AcceptedRun | undefined {
  if (outcome.status !== 'accepted' || !('seq' in outcome) || Object.keys(outcome).length !== 3) return undefined;
  return { status: 'run', count: 1, seq: outcome.seq, epoch: outcome.epoch };
}
