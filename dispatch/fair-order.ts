/** Turns that pass with each batch, so that what was put back for others is not overtaken for ever. */
const AGING = 1 / 64;
/** Users remembered before those without a claim are forgotten. */
const REMEMBERED = 256;

/**
 * Start-time fair queueing (Goyal, Vin, Cheng 1996) for the operations of a lane that go alone, such as commits: the first
 * one of a user is due now, each further one a turn later. So who floods a lane waits behind others, not they behind it.
 * Messages and read marks share batches and cost no turn.
 */
export class FairOrder {
  /** Virtual time: the turn that is being served. */
  #now = 0;
  /** Turn of the newest operation of a user. */
  readonly #last = new Map<string, number>();

  /** The turn of a user's next operation; never before those that the user has already. */
  turnOf(user: string, goesAlone: boolean): number {
    const last = this.#last.get(user);
    if (!goesAlone) return Math.max(this.#now, last ?? 0);
    const turn = Math.max(this.#now, last === undefined ? 0 : last + 1);
    if (this.#last.size >= REMEMBERED) this.#forget();
    this.#last.set(user, turn);
    return turn;
  }

  /** A batch that begins with this turn is served. */
  taken(turn: number): void {
    this.#now = Math.max(this.#now, turn) + AGING;
  }

  #forget(): void {
    for (const [user, turn] of this.#last) if (turn + 1 <= this.#now) this.#last.delete(user);
  }
}
