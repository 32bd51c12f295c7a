import type { Answer } from '../harness/answer.ts';

/** Counts answers by status and problem code. */
export class Tally {
  readonly #counts = new Map<string, number>();

  /** How often each came. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  /** Counts an answer and gives it back. */
  add(answer: Answer): Answer {
    const code = typeof answer.body.code === 'string' ? ` ${answer.body.code}` : '';
    return (this.note(`${answer.status}${code}`), answer);
  }

  /** Counts anything else. */
  note(what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by);
  }

  /** Answers whose status fits, for example `(status) => status >= 500`. */
  number(fits: (status: number) => boolean): number {
    let sum = 0;
    for (const [what, count] of this.#counts) {
      if (/^\d{3}\b/.test(what) && fits(Number(what.slice(0, 3)))) sum += count;
    }
    return sum;
  }
}

/** The sentences whose condition is true. */
export function failuresOf(sentences: Readonly<Record<string, boolean>>): string[] {
  return Object.entries(sentences).flatMap(([sentence, isTrue]) => (isTrue ? [sentence] : []));
}

/** What two answers tell an outsider: status, body and headers, without what belongs to one request. */
export function telling({ status, text }: Answer): string {
  return `${status} ${text.replaceAll(/"(?:requestId|instance)":"[^"]*",?/g, '')}`;
}
