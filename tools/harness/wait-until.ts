import { setTimeout as sleep } from 'node:timers/promises';

interface WaitOptions {
  /** What is waited for, as the end of "waited until". */
  readonly what: string;
  /** @default 30 s: on a machine with both cores busy, what takes one second alone takes ten */
  readonly timeoutMs?: number;
  /** @default 20 ms */
  readonly everyMs?: number;
}

/** Polls a condition until it holds. Tests wait only in this way, or by `tryUntil`. */
export async function waitUntil(condition: () => boolean | Promise<boolean>, options: WaitOptions): Promise<void> {
  const until = endOf(options);
  while (!(await condition())) {
    if (Date.now() > until) throw inVain(options);
    await sleep(options.everyMs ?? EVERY_MS);
  }
}

/** Does something until it succeeds. When it never does, the error says why the last try failed. */
export async function tryUntil<T>(attempt: () => Promise<T>, options: WaitOptions): Promise<T> {
  const until = endOf(options);
  for (;;) {
    try {
      return await attempt();
    } catch (cause) {
      if (Date.now() > until) throw inVain(options, cause);
    }
    await sleep(options.everyMs ?? EVERY_MS);
  }
}

const EVERY_MS = 20;

function endOf({ timeoutMs = 30_000 }: WaitOptions): number {
  return Date.now() + timeoutMs;
}

function inVain({ what }: WaitOptions, cause?: unknown): Error {
  return new Error(`Waited in vain until ${what}`, { cause });
}

/** Models the work of a client that takes this long, or its pause between two tries. Never a wait for something to happen. */
export async function spend(ms: number): Promise<void> {
  await sleep(ms);
}
