import { cleanLines } from './clean.ts';

export interface Progress {
  /** Replaces what was said before. */
  readonly say: (text: string) => void;
  /** Removes the line, before something else is printed. */
  readonly done: () => void;
}

/** Time between two lines where a line cannot be replaced. */
const LINE_EVERY_MS = 1000;

/** Long work says on stderr how far it is: on a terminal in one line that is replaced, elsewhere only when it was asked for. */
export function makeProgress(
  stderr: { readonly isTTY?: boolean; readonly write: (text: string) => unknown },
  isAskedFor: boolean,
  now: () => number = () => performance.now(),
): Progress {
  if (stderr.isTTY === true) {
    let shown = false;
    return {
      say: (text) => {
        shown = true;
        stderr.write(`\r\u001b[K${cleanLines(text)}`);
      },
      done: () => {
        if (shown) stderr.write('\r\u001b[K');
        shown = false;
      },
    };
  }
  let last = -Infinity;
  return {
    say: (text) => {
      if (!isAskedFor || now() - last < LINE_EVERY_MS) return;
      last = now();
      stderr.write(`${cleanLines(text)}\n`);
    },
    done: () => undefined,
  };
}
