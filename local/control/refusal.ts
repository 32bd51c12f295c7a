/** The control server does not do what it was asked for. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: 400 | 403 | 404 | 405 | 409 | 413 | 415 | 503;
  readonly code: string;

  constructor(status: Refusal['status'], code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

const TITLES: Readonly<Record<Refusal['status'], string>> = {
  400: 'Malformed request',
  403: 'Not for this page',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Not possible now',
  413: 'Too large',
  415: 'Not JSON',
  503: 'Too many streams',
};

/** A refusal as `application/problem+json` (RFC 9457). */
export function problemOf({ status, code, message }: Refusal): object {
  return { type: 'about:blank', title: TITLES[status], status, code, detail: message };
}
