import type { Actor } from './actor.ts';
import type { Reference } from './reference.ts';

/** A membership interval of a user, by `seq`. `to` is infinite while the user is a member. */
export interface MembershipInterval {
  readonly from: number;
  readonly to: number;
}

/** One MLS state of a device: from the commit with which it joined to the last entry that the state could process. */
interface HeldState {
  /** `seq` of the joining commit. */
  readonly from: number;
  readonly firstEpoch: number;
  /** Infinite while the state follows the log. */
  readonly position: number;
  readonly lastEpoch: number;
  /** The state was deleted at `position`. Otherwise the device keeps its keys, also after it joined again. */
  readonly isGone: boolean;
}

/**
 * Why no state of a device can read a message.
 * - `not-joined`: the epoch is before the one that the device joined. A joiner gets no secret of an earlier epoch (RFC 9420
 *   §12.4.3); a Welcome that the device did not use before it was withdrawn or replaced counts as none.
 * - `left-behind`: the state could not follow the group into this epoch, since the secrets of an epoch need those of the
 *   epoch before and the commit (RFC 9420 §8). The device joined again later.
 * - `deleted`: the device deleted the state (RFC 9420 §9.2).
 */
export type Unreadable = 'not-joined' | 'left-behind' | 'deleted';

/** Says for each message whether the keys that a device held can read it, as RFC 9420 gives them. */
export class ReadableMessages {
  readonly #states: readonly HeldState[];

  /** @param interval the states of other membership intervals read nothing of this one */
  constructor(reference: Reference, actor: Actor, { from, to }: MembershipInterval) {
    const joins = [...new Set([...actor.welcomed, ...(reference.externalJoins.get(actor.signatureKey) ?? [])])]
      .filter((seq) => from <= seq && seq <= to)
      .sort((a, b) => a - b);
    const ends = [...actor.losses, ...actor.stuckAt.map(({ seq }) => ({ position: seq - 1, isGone: false }))].sort(
      (a, b) => a.position - b.position,
    );
    this.#states = joins.map((join, i): HeldState => {
      // The next join replaces the state, whatever ended it.
      const next = (joins[i + 1] ?? Infinity) - 1;
      const end = ends.find(({ position }) => join <= position && position <= next);
      const position = end?.position ?? next;
      const firstEpoch = epochAt(reference, join);
      const lastEpoch = Math.min(epochAt(reference, position), lastEpochWithLeaf(reference, actor, firstEpoch));
      return { from: join, firstEpoch, position, lastEpoch, isGone: end?.isGone ?? false };
    });
  }

  /** @returns why the device cannot read a message; `undefined` = one of its states can */
  whyNot({ seq, epoch }: { readonly seq: number; readonly epoch: number }): Unreadable | undefined {
    const started = this.#states.filter(({ from, firstEpoch }) => from < seq && firstEpoch <= epoch);
    const inEpoch = started.filter(({ lastEpoch }) => epoch <= lastEpoch);
    if (inEpoch.some(({ position, isGone }) => seq <= position || !isGone)) return undefined;
    if (inEpoch.length > 0) return 'deleted';
    return started.length > 0 ? 'left-behind' : 'not-joined';
  }

  /** For the report. */
  describe(): string {
    return this.#states
      .map(
        ({ from, firstEpoch, position, lastEpoch, isGone }) =>
          `joined at ${from} (epoch ${firstEpoch}), ${isGone ? 'lost' : 'ended'} at ${position} (epoch ${lastEpoch})`,
      )
      .join('; ');
  }
}

/** The epoch in which the log is after an entry. */
function epochAt(reference: Reference, seq: number): number {
  let found = -1;
  for (const [epoch, { from }] of reference.epochs) if (from <= seq && epoch > found) found = epoch;
  return found;
}

/** The last epoch, counted from one in which the device has a leaf, before a commit took the leaf away. */
function lastEpochWithLeaf({ epochs }: Reference, { signatureKey }: Actor, from: number): number {
  const without = [...epochs].filter(([epoch, { keys }]) => epoch > from && !keys.has(signatureKey));
  return Math.min(...without.map(([epoch]) => epoch)) - 1;
}
