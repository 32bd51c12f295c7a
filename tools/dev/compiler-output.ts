/** What a line of `tsc --watch --listEmittedFiles` tells. */
export type CompilerEvent =
  | { readonly kind: 'emitted'; readonly file: string }
  | { readonly kind: 'done'; readonly errors: number }
  /** For the person at the terminal. */
  | { readonly kind: 'line'; readonly text: string };

/** Reads one line of output; undefined = of no interest. */
export function readCompilerLine(line: string): CompilerEvent | undefined {
  const [, file] = /^TSFILE: (.+)$/.exec(line) ?? [];
  if (file !== undefined) return { kind: 'emitted', file };
  const [, errors] = /Found (\d+) errors?\. Watching for file changes\./.exec(line) ?? [];
  if (errors !== undefined) return { kind: 'done', errors: Number(errors) };
  if (line.trim() === '' || /Starting compilation|File change detected/.test(line)) return undefined;
  return { kind: 'line', text: line };
}

/** Folders of `dist` that no API and no worker runs. */
const NOT_OF_THE_SERVICE = /[\\/]dist[\\/](?:test|tools|client|local)[\\/]/;

/** Whether API and worker run this compiled file. */
export function isOfTheService(file: string): boolean {
  return file.endsWith('.js') && !NOT_OF_THE_SERVICE.test(file);
}
