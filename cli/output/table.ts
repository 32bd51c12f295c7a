import Table from 'cli-table3';
import { clean } from './clean.ts';

export type Cell = string | number | undefined;

const NO_BORDERS = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid'].flatMap((side) => [
    [side, ''],
    [`${side}-mid`, ''],
    [`${side}-left`, ''],
    [`${side}-right`, ''],
  ]),
);
/** Without colours: what is printed is the same in a file, and nothing has to be cleaned out of it again. */
const STYLE = { head: [], border: [], 'padding-left': 0, 'padding-right': 2 };

function render(table: { toString: () => string }): string {
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

function make(head: readonly string[]): Table.Table {
  return new Table({
    ...(head.length === 0 ? {} : { head: [...head] }),
    chars: { ...NO_BORDERS, middle: '' },
    style: STYLE,
  });
}

/** A table with a line of titles. Each cell is one line, whatever is in it. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const made = make(head.map((title) => title.toUpperCase()));
  for (const row of rows) made.push(row.map(cell));
  return render(made);
}

/** Names and values, one pair in a line. Pairs without a value are left out. */
export function pairs(values: readonly (readonly [string, Cell])[]): string {
  const made = make([]);
  for (const [name, value] of values) if (value !== undefined) made.push([name, cell(value)]);
  return render(made);
}

/** Parts of an answer below one another; empty ones are left out. */
export function sections(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== '').join('\n\n');
}

/** A part with a title. @returns '' when there is nothing in it */
export function section(title: string, content: string): string {
  return content === '' ? '' : `${title}\n${content.replaceAll(/^/gm, '  ')}`;
}

function cell(value: Cell): string {
  return value === undefined || value === '' ? '-' : clean(String(value));
}
