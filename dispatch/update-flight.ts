import type { PendingUpdate } from './auto/breaker.ts';
import type { DiversionReason } from './executor.ts';
import type { QueuedCommand } from './queued-command.ts';

/** Why nobody waits for an update any more; `outage` = its requests are refused, since nothing may be diverted. */
export type GiveUpReason = DiversionReason | 'outage';

/** A batch that the workflow has, or will have once it is staged. */
export class UpdateFlight implements PendingUpdate {
  readonly conversation: string;
  readonly batch: readonly QueuedCommand[];
  /** Senders with a command in it: their later commands wait for it. */
  readonly users: ReadonlySet<string>;
  /** Resolves when it is given up. */
  readonly givenUp: Promise<GiveUpReason>;
  readonly isCold: boolean;
  since: number;
  readonly #abort = new AbortController();
  readonly #queueHas: (user: string) => boolean;
  readonly #mayDivert: () => boolean;
  #giveUp: (reason: GiveUpReason) => void = () => undefined;

  /** @param given what its queue knows: the time by the clock of `AutoPath`, and what may change while it is in flight */
  constructor(
    conversation: string,
    batch: readonly QueuedCommand[],
    given: {
      readonly now: number;
      readonly isCold: boolean;
      /** Whether a later command of this user waits. */
      readonly queueHas: (user: string) => boolean;
      /** Whether the setting lets it take the direct path. */
      readonly mayDivert: () => boolean;
    },
  ) {
    this.conversation = conversation;
    this.batch = batch;
    this.since = given.now;
    this.isCold = given.isCold;
    this.users = new Set(batch.map(({ submission }) => submission.command.actor));
    this.#queueHas = given.queueHas;
    this.#mayDivert = given.mayDivert;
    this.givenUp = new Promise((resolve) => (this.#giveUp = resolve));
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  hasWaitingSender(): boolean {
    return [...this.users].some(this.#queueHas);
  }

  /** Nobody waits for its answer from now on. It may still be decided; then it finds none of its staged rows. */
  giveUp(reason: GiveUpReason): void {
    if (reason === 'outage' || this.#mayDivert()) this.#giveUp(reason);
  }

  /** Ends the call. The update itself cannot be taken back. */
  abandon(): void {
    this.#abort.abort();
  }
}
