import { CancellationScope, sleep } from '@temporalio/workflow';

/**
 * A due time that moves. Moving it later starts no timer: when the running one fires early, it is set again for the
 * rest. So activity costs nothing and an idle conversation holds one timer (a timer is two events of history).
 */
export class Alarm {
  /** True from the due time on, until it is set or cleared. */
  due = false;
  #target: number | undefined;
  #armed = Infinity;

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
    // Handlers set alarms too; in a cancelled run, whose queued work is finished first, their timers would throw.
    await CancellationScope.nonCancellable(() => sleep(Math.max(at - Date.now(), 1)));
    // A sooner timer took over meanwhile.
    if (this.#armed !== at) return;
    this.#armed = Infinity;
    if (this.#target === undefined) return;
    if (this.#target <= Date.now()) this.due = true;
    else void this.#arm(this.#target);
  }
}
