/** Where a message stands. */
interface Placed {
  readonly seq: number;
  readonly lost?: { readonly above: number; readonly at: number };
}

/**
 * The order of messages for people: that of the log. A lost message stays where it was seen: after the entries that the log kept,
 * and before those that came into the log since.
 */
export function inOrder(a: Placed, b: Placed): number {
  const [left, right] = [placeOf(a), placeOf(b)];
  const at = left.findIndex((part, i) => part !== right[i]);
  return at === -1 ? 0 : (left[at] ?? 0) - (right[at] ?? 0);
}

function placeOf({ seq, lost }: Placed): readonly [number, number, number] {
  return lost === undefined ? [seq, 0, 0] : [lost.above, lost.at, seq];
}
