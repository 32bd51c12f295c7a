import { onTestFinished, vi } from 'vitest';

/** A request of a device to the service. */
export interface Asked {
  /** Method and path, as `GET /v1/devices`. */
  readonly route: string;
  /** Id of the device. */
  readonly device: string | undefined;
}

/** Stands between the devices of this process and the service, until the test ends. @param pass asks the service */
export function standBetween(answer: (asked: Asked, pass: () => Promise<Response>) => Promise<Response>): void {
  const real = globalThis.fetch;
  vi.stubGlobal('fetch', (input: string | URL, init: RequestInit = {}) => {
    const route = `${init.method ?? 'GET'} ${new URL(input).pathname}`;
    const device = new Headers(init.headers).get('parley-device') ?? undefined;
    return answer({ route, device }, () => real(input, init));
  });
  onTestFinished(() => void vi.unstubAllGlobals());
}

/** What the service says when it refuses. */
export function refusal(status: number, code: string): Response {
  const headers = { 'content-type': 'application/problem+json', 'retry-after': '0' };
  return Response.json({ title: code, status, code }, { status, headers });
}
