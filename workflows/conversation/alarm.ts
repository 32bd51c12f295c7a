import { CancellationScope, sleep } from '@temporalio/workflow';

/**
 * A due time that can be moved. Moving it later starts no timer: the running timer fires early and is set again for the
 * rest. So traffic costs no timers, and an idle conversation holds one timer (a timer is two events of history).
 */
export class Alarm {
  /** True from the due time on, until it is set or cleared. */
  due = false;
  readonly #summary: string;
  readonly #onDue: () => void;
  #target: number | undefined;
  #armed = Infinity;

  /**
   * @param summary what the timer is for; people see it in the history
   * @param onDue called when a timer makes it due
   */
  constructor(summary: string, onDue: () => void = () => undefined) {
    this.#summary = summary;
    this.#onDue = onDue;
  }

  /** Whether it has a due time. */
  get isSet(): boolean {
    return this.#target !== undefined;
  }

  /** @param at milliseconds since 1970, in workflow time */
  set(at: number): void {
    this.#target = at;
    this.due = at <= Date.now();
    if (!this.due && at < this.#armed) void this.#arm(at);
  }

  clear(): void {
    this.#target = undefined;
    this.due = false;
  }

  async #arm(at: number): Promise<void> {
    this.#armed = at;
    // Handlers set alarms too. A cancelled run finishes its queued work first, and a cancellable timer would throw.
    await CancellationScope.nonCancellable(() => sleep(Math.max(at - Date.now(), 1), { summary: this.#summary }));
    // An earlier timer was started meanwhile and replaces this one.
    if (this.#armed !== at) return;
    this.#armed = Infinity;
    if (this.#target === undefined) return;
    if (this.#target > Date.now()) {
      void this.#arm(this.#target);
      return;
    }
    this.due = true;
    this.#onDue();
  }
}
