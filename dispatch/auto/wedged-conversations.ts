/** A wedged conversation goes direct for this time; then one batch tries its workflow. Doubled each time that fails. */
const FIRST_HOLD_MS = 5000;
const LONGEST_HOLD_MS = 30_000;
/** After this time without a try it is forgotten. */
const FORGET_MS = 10 * 60_000;
const REMEMBERED = 1000;

/** A conversation whose workflow does not answer while others do. */
export interface Wedged {
  readonly conversation: string;
  /** Milliseconds, by the clock of the list. */
  readonly since: number;
  /** Its row in Postgres is locked: then neither path can decide, and the workflow may be well. */
  readonly isLocked: boolean;
}

interface Entry extends Wedged {
  /** Until then it goes direct. */
  readonly until: number;
  readonly holdMs: number;
}

/** The conversations of this process that need repair. Without timers; `now` never goes back. */
export class WedgedConversations {
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Its update had no answer. @returns true when it was not known as wedged */
  mark(conversation: string, { isLocked }: { readonly isLocked: boolean }): boolean {
    const known = this.#entries.get(conversation);
    const isNew = known?.isLocked !== isLocked;
    const holdMs = isNew ? FIRST_HOLD_MS : Math.min(LONGEST_HOLD_MS, known.holdMs * 2);
    const now = this.#now();
    this.#entries.delete(conversation);
    this.#entries.set(conversation, {
      conversation,
      since: isNew ? now : known.since,
      isLocked,
      // Diverting a locked one helps nobody.
      until: isLocked ? now : now + holdMs,
      holdMs,
    });
    this.#forget(now);
    return isNew;
  }

  /** Its workflow answered. @returns true when it was wedged */
  answered(conversation: string): boolean {
    return this.#entries.size > 0 && this.#entries.delete(conversation);
  }

  /** Whether its batches go direct now. */
  isHeld(conversation: string): boolean {
    const entry = this.#entries.size === 0 ? undefined : this.#entries.get(conversation);
    return entry !== undefined && this.#now() < entry.until;
  }

  list(): Wedged[] {
    this.#forget(this.#now());
    return [...this.#entries.values()].map(({ conversation, since, isLocked }) => ({ conversation, since, isLocked }));
  }

  #forget(now: number): void {
    for (const [conversation, { until }] of this.#entries) {
      if (this.#entries.size <= REMEMBERED && until + FORGET_MS > now) break;
      this.#entries.delete(conversation);
    }
  }
}
