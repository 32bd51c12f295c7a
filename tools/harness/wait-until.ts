import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Polls a condition until it holds; the only way in which tests wait.
 * @param options.timeoutMs default 30 s: on a machine with both cores busy, what takes one second alone takes ten
 */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  options: { readonly timeoutMs?: number; readonly what: string; readonly everyMs?: number },
): Promise<void> {
  const until = Date.now() + (options.timeoutMs ?? 30_000);
  while (!(await condition())) {
    if (Date.now() > until) throw new Error(`Waited in vain until ${options.what}`);
    await sleep(options.everyMs ?? 20);
  }
}

/** Models the work of a client that takes this long, or its pause between two tries. Never a wait for something to happen. */
export async function spend(ms: number): Promise<void> {
  await sleep(ms);
}
