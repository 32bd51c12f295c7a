/** A break of a released contract that is meant. */
export interface MeantBreak {
  readonly change: string;
  readonly where: string;
  /** Why no client suffers from it, or what the upgrade notes say. */
  readonly reason: string;
}

/** `docs/contracts/<version>.breaks.json`: what the comparison of this repository finds, and what oasdiff finds. */
export interface MeantBreaks {
  readonly parley: readonly MeantBreak[];
  readonly oasdiff: readonly MeantBreak[];
}

export interface Judged<T> {
  /** Breaks that nobody meant. */
  readonly breaks: readonly T[];
  /** What is in the list, and does not occur. */
  readonly unused: readonly MeantBreak[];
}

/** Parts the breaks that are found from those that are meant. */
export function judge<T extends { readonly change: string }>(
  found: readonly T[],
  meant: readonly MeantBreak[],
  isAt: (one: T, where: string) => boolean,
): Judged<T> {
  const covers = ({ change, where }: MeantBreak, one: T): boolean => one.change === change && isAt(one, where);
  return {
    breaks: found.filter((one) => !meant.some((each) => covers(each, one))),
    unused: meant.filter((each) => !found.some((one) => covers(each, one))),
  };
}
