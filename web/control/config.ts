/** What the API says about the place in which the page runs (`GET /app/config.json`). */
export interface AppConfig {
  /** Address of the control server. Absent: this is no local stack, and nobody gives tokens or breaks parts. */
  readonly control?: string;
}

/**
 * Reads the page's configuration.
 * @throws Error if the API does not answer
 */
export async function readConfig(): Promise<AppConfig> {
  const response = await fetch('/app/config.json', { signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`The API answers ${response.status} to /app/config.json`);
  return (await response.json()) as AppConfig;
}
