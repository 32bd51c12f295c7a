import { own } from '../domain/own.ts';

/** Mistakes in the configuration, all at once. Its message is for a person: print it without a stack. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  /** One sentence each. It begins with the name of its variable, where it has one. */
  readonly problems: readonly string[];

  /** @param places where a variable is set, if not in the environment */
  constructor(problems: readonly string[], places: Places = {}) {
    const list = problems.map((problem) => `  - ${problem}${placeOf(problem, places)}`).join('\n');
    super(
      `The configuration has problems:\n${list}\nFix these environment variables. docs/reference/configuration.md describes them.`,
    );
    this.problems = problems;
  }
}

/** Where variables are set, by name, for example `.env, line 3`. */
export type Places = Readonly<Record<string, string>>;

/** The variable that a problem begins with; the problem itself where it names none, as an option or a line of a file. */
export function nameIn(problem: string): string {
  return /^\w+/.exec(problem)?.[0] ?? problem;
}

function placeOf(problem: string, places: Places): string {
  const place = own(places, nameIn(problem));
  return place === undefined ? '' : ` (${place})`;
}
