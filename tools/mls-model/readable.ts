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
      return {
        from: join,
        firstEpoch: epochAt(reference, join),
        position,
        lastEpoch: epochAt(reference, position),
        isGone: end?.isGone ?? false,
      };
    });
  }

  /**
   * Whether one of the states can read a message: it was in the epoch of the message, since a joiner gets no secret of an
   * earlier epoch (RFC 9420 §12.4.3), and nobody who cannot process a commit gets those of a later one (§8).
   */
  has({ seq, epoch }: { readonly seq: number; readonly epoch: number }): boolean {
    return this.#states.some(
      (state) =>
        state.from < seq &&
        state.firstEpoch <= epoch &&
        epoch <= state.lastEpoch &&
        (seq <= state.position || !state.isGone),
    );
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
