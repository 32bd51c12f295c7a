/** What the health of a program says about its start: `waits` = it runs and waits for another part. */
export type Probe = 'ready' | 'waits' | 'not yet';

const TIME_LIMIT_MS = 2_000;

/** Asks the API. */
export async function probeApi(url: string): Promise<Probe> {
  return (await ask(url)).isOk ? 'ready' : 'not yet';
}

/** Asks the worker. It waits while Temporal does not answer, and serves without a restart when Temporal is there. */
export async function probeWorker(url: string): Promise<Probe> {
  const { isOk, text } = await ask(url);
  if (isOk) return 'ready';
  return /"temporal":\s*false/.test(text) ? 'waits' : 'not yet';
}

async function ask(url: string): Promise<{ isOk: boolean; text: string }> {
  try {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(TIME_LIMIT_MS) });
    return { isOk: response.ok, text: await response.text() };
  } catch {
    return { isOk: false, text: '' };
  }
}
