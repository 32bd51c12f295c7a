/** A call without an answer is silent after this time. */
export const SILENT_MS = 800;
/** So many conversations must be silent at once. One or two may have a trouble of their own. */
export const SILENT_CONVERSATIONS = 3;
/** Probes in a row that must succeed. Each opening soon after a closing doubles them. */
const PROBES = 2;
const MOST_PROBES = 8;
const SOON_MS = 3000;
/** Conversations that were silent at an opening. */
const SUSPECTS = 10_000;

export type OpenReason = 'unavailable' | 'silent' | 'time-out';

/** An update that has no answer yet. */
export interface PendingUpdate {
  readonly conversation: string;
  /** When it was handed over, by the clock of the breaker. */
  readonly since: number;
  /** Whether somebody with a command in it has a later one that waits for it. */
  /** It starts the workflow. */
  readonly isCold?: boolean;
  readonly hasWaitingSender: () => boolean;
  /** Nobody waits for it any more. On the path `workflow` nothing but an outage gives it up. */
  readonly giveUp: (reason: 'breaker' | 'time-out' | 'outage') => void;
}

/**
 * Whether Temporal answers this process (circuit breaker; Nygard 2007). It opens on a refused connection, or when several
 * conversations wait in silence; probes close it (half-open).
 *
 * Conversations that were silent when it opened are suspects: after it closed, their silence alone does not open it again.
 * Otherwise three stuck runs would open it for ever, although Temporal is well.
 *
 * Without timers and clocks of its own; `now` is in milliseconds of a clock that never goes back.
 */
export class Breaker {
  readonly #now: () => number;
  readonly #pending = new Set<PendingUpdate>();
  readonly #suspects = new Set<string>();
  #openSince: number | undefined;
  #reason: OpenReason | undefined;
  #lastAnswerAt = -Infinity;
  #closedAt = -Infinity;
  #probesNeeded = PROBES;
  #probesOk = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  get isOpen(): boolean {
    return this.#openSince !== undefined;
  }

  /** `half-open`: a probe was answered, and more must be. */
  get state(): 'closed' | 'open' | 'half-open' {
    if (!this.isOpen) return 'closed';
    return this.#probesOk > 0 ? 'half-open' : 'open';
  }

  get reason(): OpenReason | undefined {
    return this.#reason;
  }

  /** For how long it has been open; 0 = it is closed. */
  get openMs(): number {
    return this.#openSince === undefined ? 0 : this.#now() - this.#openSince;
  }

  pending(): ReadonlySet<PendingUpdate> {
    return this.#pending;
  }

  began(update: PendingUpdate): void {
    this.#pending.add(update);
  }

  /** @param answered the worker answered, whatever it said */
  ended(update: PendingUpdate, answered: boolean): void {
    this.#pending.delete(update);
    if (!answered) return;
    this.#lastAnswerAt = this.#now();
    this.#suspects.delete(update.conversation);
  }

  /** Whether Temporal answered anybody since then. */
  hasAnsweredSince(time: number): boolean {
    return this.#lastAnswerAt > time;
  }

  /**
   * Conversations whose silence may open the breaker: none while an answer is younger than the silence. Locked rows do not
   * count; the caller looks for them before it opens.
   */
  silent(): string[] {
    const before = this.#now() - SILENT_MS;
    if (this.isOpen || this.hasAnsweredSince(before)) return [];
    const silent = [...this.#pending].filter(({ since }) => since <= before).map(({ conversation }) => conversation);
    return silent.filter((conversation) => !this.#suspects.has(conversation));
  }

  /** @returns false when it was open already */
  open(reason: OpenReason): boolean {
    if (this.isOpen) return false;
    const isSoon = this.#now() - this.#closedAt < SOON_MS;
    this.#probesNeeded = isSoon ? Math.min(MOST_PROBES, this.#probesNeeded * 2) : PROBES;
    this.#openSince = this.#now();
    this.#reason = reason;
    this.#probesOk = 0;
    for (const { conversation } of this.#pending) if (this.#suspects.size < SUSPECTS) this.#suspects.add(conversation);
    return true;
  }

  /** A probe ended. @returns true when it closed the breaker */
  probed(ok: boolean): boolean {
    if (!this.isOpen) return false;
    this.#probesOk = ok ? this.#probesOk + 1 : 0;
    if (this.#probesOk < this.#probesNeeded) return false;
    this.#openSince = undefined;
    this.#reason = undefined;
    this.#closedAt = this.#now();
    return true;
  }
}
