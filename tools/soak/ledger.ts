import type { Acknowledged } from '../stress/sender.ts';

/** Everything that was acknowledged. Two numbers for each message, since a run may last for hours. */
export interface Ledger {
  /** The id of the next message, for a conversation by its place. */
  readonly next: (conversation: number) => { readonly id: string; readonly number: number };
  readonly acknowledge: (number: number, seq: number) => void;
  readonly count: () => number;
  /** @param ids of the conversations, by place */
  readonly all: (ids: readonly string[]) => Acknowledged[];
}

/** @param prefix of the ids, so that two runs on one database do not meet */
export function makeLedger(prefix: string): Ledger {
  const conversations: number[] = [];
  /** By message; 0 = not acknowledged yet. */
  const seqs: number[] = [];
  let count = 0;
  const idOf = (number: number): string => `${prefix}-${number}`;
  return {
    next: (conversation) => {
      const number = conversations.push(conversation) - 1;
      seqs.push(0);
      return { id: idOf(number), number };
    },
    acknowledge: (number, seq) => {
      seqs[number] = seq;
      count++;
    },
    count: () => count,
    all: (ids) =>
      seqs.flatMap((seq, number) =>
        seq === 0 ? [] : [{ id: idOf(number), conversation: ids[conversations[number] ?? 0] ?? '', seq }],
      ),
  };
}
