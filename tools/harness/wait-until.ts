/** Polls a condition until it holds; the only way in which tests wait. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  options: { readonly timeoutMs?: number; readonly what: string; readonly everyMs?: number },
): Promise<void> {
  const until = Date.now() + (options.timeoutMs ?? 10_000);
  while (!(await condition())) {
    if (Date.now() > until) throw new Error(`Waited in vain until ${options.what}`);
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 20));
  }
}
