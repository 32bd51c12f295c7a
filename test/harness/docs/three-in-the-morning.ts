import { read } from '../markdown.ts';

const PAGE = 'docs/how-to/operate.md';
const SECTION = '## At 3 a.m.';
const HEAD = ['`status` says', 'fault', 'second', 'third', 'you see', 'do'];

/** A row of the table of the runbook. */
export interface FaultRow {
  /** Codes and signs in the answer of the first command. */
  readonly codes: readonly string[];
  readonly fault: string;
  /** After the first; at most two. */
  readonly commands: readonly string[];
  /** What the three commands print together. */
  readonly see: readonly string[];
}

/** What the runbook tells to do at 3 a.m. */
export interface Runbook {
  readonly first: string;
  readonly rows: readonly FaultRow[];
}

/** Reads the runbook. @throws Error if the page has another form */
export function readRunbook(): Runbook {
  const section = read(PAGE).split(SECTION)[1]?.split('\n## ')[0] ?? '';
  const [, first] = /^1\. `([^`]+)`/m.exec(section) ?? [];
  const lines = section.split('\n').map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const head = lines.findIndex((cells) => cells.join('|') === HEAD.join('|'));
  if (first === undefined || head < 0) throw new Error(`${PAGE} has no first command, or no table of faults`);
  const rows: FaultRow[] = [];
  for (const [says = '', fault = '', second = '', third = '', see = ''] of lines.slice(head + 2)) {
    if (says === '') break;
    rows.push({ codes: codes(says), fault, commands: [...codes(second), ...codes(third)], see: codes(see) });
  }
  return { first, rows };
}

function codes(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
}
