import type { Outcome } from './outcome.ts';

/** `count` accepted messages in a row: seq, seq + 1, ... of one epoch. */
export interface AcceptedRun {
  readonly status: 'run';
  readonly count: number;
  readonly seq: number;
  readonly epoch: number;
  /** Of the first of them. Those of the others follow from the messages (`store/decision/complete-chains.ts`). */
  readonly chain?: string;
}

/**
 * Outcomes as they travel through Temporal. A full batch of accepted messages is one item instead of 256. This keeps
 * histories small: the same list stands in the local activity's marker and in the update's result.
 */
export type PackedOutcome = Outcome | AcceptedRun;

/**
 * Packs outcomes: accepted messages in a row become one item.
 * @param sizes numbers of commands of the updates that share the batch. No item is of two updates, since each update gets its own
 */
export function packOutcomes(outcomes: readonly Outcome[], sizes: readonly number[] = []): PackedOutcome[] {
  const packed: PackedOutcome[] = [];
  let update = 0;
  let nextUpdateAt = sizes[0];
  outcomes.forEach((outcome, i) => {
    const isFirstOfUpdate = i === nextUpdateAt;
    if (isFirstOfUpdate) nextUpdateAt = i + (sizes[++update] ?? Infinity);
    const run = asRun(outcome);
    const last = packed.at(-1);
    if (!isFirstOfUpdate && run !== undefined && last?.status === 'run' && isNext(last, run)) {
      packed[packed.length - 1] = { ...last, count: last.count + 1 };
    } else {
      packed.push(run ?? outcome);
    }
  });
  return packed;
}

/**
 * The outcomes of a packed list, one for each command; not yet checked against the kinds of the commands. Of a run only the first has
 * its value of the chain.
 */
export function unpackOutcomes(packed: readonly PackedOutcome[]): Outcome[] {
  return packed.flatMap((item) => (item.status === 'run' ? messagesOf(item) : [item]));
}

function messagesOf({ count, seq, epoch, chain }: AcceptedRun): Outcome<'message'>[] {
  return Array.from({ length: count }, (_, i) => ({
    status: 'accepted',
    seq: seq + i,
    epoch,
    ...(i === 0 && chain !== undefined ? { chain } : {}),
  }));
}

/** The packed outcomes of commands `from` to `from + count`: the answer of one update in a shared batch. */
export function slicePacked(packed: readonly PackedOutcome[], from: number, count: number): PackedOutcome[] {
  const slice: PackedOutcome[] = [];
  let position = 0;
  for (const item of packed) {
    const length = item.status === 'run' ? item.count : 1;
    const start = Math.max(from, position);
    const end = Math.min(from + count, position + length);
    if (start < end) slice.push(item.status === 'run' ? partOfRun(item, start - position, end - start) : item);
    position += length;
  }
  return slice;
}

function partOfRun({ chain, ...run }: AcceptedRun, from: number, count: number): AcceptedRun {
  return { ...run, seq: run.seq + from, count, ...(from === 0 && chain !== undefined ? { chain } : {}) };
}

function isNext(last: AcceptedRun, run: AcceptedRun): boolean {
  const isChained = (last.chain === undefined) === (run.chain === undefined);
  return isChained && last.epoch === run.epoch && last.seq + last.count === run.seq;
}

/** A plain accepted message (nothing but its place in the log) as a run of one. */
function asRun(outcome: Outcome): AcceptedRun | undefined {
  if (outcome.status !== 'accepted' || !('seq' in outcome)) return undefined;
  const { seq, epoch, chain } = outcome;
  if (Object.keys(outcome).length !== (chain === undefined ? 3 : 4)) return undefined;
  return { status: 'run', count: 1, seq, epoch, ...(chain === undefined ? {} : { chain }) };
}
