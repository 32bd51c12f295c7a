/** A line that the terminal of `npm start` said. */
export type SaidLine = { at: number; text: string };

const KEPT_LINES = 50;
/** The last lines of a log are longer than what a person reads in a page. */
const MAX_CHARACTERS = 2000;

/** What the terminal said last. */
export type Terminal = {
  say: (line: string) => void;
  lines: () => readonly SaidLine[];
  /** Calls with each new line. */
  onLine: (listener: (line: SaidLine) => void) => void;
};

/** Remembers the last lines that go to the terminal. @param say prints one */
export function makeTerminal(say: (line: string) => void): Terminal {
  const lines: SaidLine[] = [];
  const listeners: ((line: SaidLine) => void)[] = [];
  return {
    say: (text) => {
      say(text);
      const line = { at: Date.now(), text: text.slice(0, MAX_CHARACTERS) };
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      for (const listener of listeners) listener(line);
    },
    lines: () => lines,
    onLine: (listener) => void listeners.push(listener),
  };
}
