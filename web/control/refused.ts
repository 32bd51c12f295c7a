/** The control server did not do what it was asked for. */
export class ControlRefusedError extends Error {
  override readonly name = 'ControlRefusedError';
  readonly status: number;
  /** Code of the problem, when the server gave one. */
  readonly code: string | undefined;

  constructor(message: string, status: number, code?: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** A POST of JSON to the control server. @throws ControlRefusedError */
export async function postControl(control: string, path: string, body: unknown): Promise<unknown> {
  const response = await fetch(new URL(path, control), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer;
  const { code, title, detail } = (answer ?? {}) as { code?: string; title?: string; detail?: string };
  throw new ControlRefusedError(
    detail ?? title ?? `The control server answers ${response.status}`,
    response.status,
    code,
  );
}
