/** An answer as the tests look at it. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed JSON; without fields when there is none. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly text: string;
}
