/** Prints a measurement, for people who read the output: tests assert no times. */
export function print(line: string): void {
  process.stdout.write(`    ${line}\n`);
}
