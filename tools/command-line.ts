import { messageOf } from '../process/message-of.ts';
/** Parses the arguments of this process. If they are wrong, prints the error and the usage, and exits with 2. */
export function optionsOrExit<T>(parse: (args: readonly string[]) => T, usage: string): T {
  try {
    return parse(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n${usage}\n`);
    process.exit(2);
  }
}

/** A whole number above 0, or `standard` without an argument. @throws Error that names the wrong argument */
export function wholeNumber(given: string | undefined, standard: number): number {
  if (given === undefined) return standard;
  const number = Number(given);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`${given} is not a whole number above 0.`);
  return number;
}

/**
 * The names of a comma-separated list, in the order of `all`, or `standard` without an argument.
 * @throws Error that lists the unknown and the known names
 */
export function chooseNames<T extends string>(
  given: string | undefined,
  all: readonly T[],
  standard: readonly T[] = all,
): readonly T[] {
  if (given === undefined) return standard;
  const names = given.split(',');
  const unknown = names.filter((name) => !(all as readonly string[]).includes(name));
  if (unknown.length > 0) throw new Error(`Unknown: ${unknown.join(', ')}. Known: ${all.join(', ')}.`);
  return all.filter((name) => names.includes(name));
}
