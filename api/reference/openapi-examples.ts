import type { Example } from './examples.ts';

/** The examples of the operations of a run: for each operation its first success, and the first answer of each status. */
export class OperationExamples {
  readonly #requests = new Map<string, Example>();
  readonly #answers = new Map<string, Example>();

  constructor(run: readonly Example[]) {
    for (const example of run) {
      const { operation, status } = example;
      if (status < 300 && !this.#requests.has(operation)) this.#requests.set(operation, example);
      const answer = `${operation} ${status}`;
      if (!this.#answers.has(answer)) this.#answers.set(answer, example);
    }
  }

  /** The example of a request, `undefined` if the run has none. */
  request(operation: string): Example | undefined {
    return this.#requests.get(operation);
  }

  /** `examples` of a request body, named by whose token it needs. */
  ofBody(operation: string): object {
    const { as = 'anybody', body } = this.#requests.get(operation) ?? {};
    return body === undefined ? {} : { examples: { [as]: { summary: `With a token of ${as}`, value: body } } };
  }

  /** `example` of an answer. */
  ofAnswer(operation: string, status: string): object {
    const { answer } = this.#answers.get(`${operation} ${status}`) ?? {};
    return answer === undefined ? {} : { example: answer };
  }

  /** `example` of a parameter. */
  ofParameter(operation: string, { in: where, name }: { readonly in: string; readonly name: string }): object {
    const { params = {}, query = {} } = this.#requests.get(operation) ?? {};
    const given = new Map(Object.entries(where === 'path' ? params : query)).get(name);
    return given === undefined ? {} : { example: given };
  }
}
