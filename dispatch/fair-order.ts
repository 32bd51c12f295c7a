/** Turns that pass with each batch. Without it a command that went back for others could be overtaken for ever. */
const AGING = 1 / 64;
/** Users that are remembered. Above it, users whose turn is over are forgotten. */
const REMEMBERED = 256;

/**
 * Start-time fair queueing (Goyal, Vin, Cheng 1996) for commands that go alone, such as commits. The first one of a user
 * is due now, each further one a turn later. So a user who floods the queue waits behind others, and others do not wait
 * behind that user.
 * Messages and read marks share batches and cost no turn.
 */
export class FairOrder {
  /** Virtual time: the turn that is served now. */
  #now = 0;
  /** Turn of the newest command of a user. */
  readonly #last = new Map<string, number>();

  /** The turn of a user's next command; never before the turns that the user has already. */
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
