import type pg from 'pg';

/** A branch of a PL/pgSQL function: where it begins. */
export interface Branch {
  readonly key: number;
  readonly function: string;
  /** Line of the function's body, from 1. */
  readonly line: number;
  readonly what: string;
}

/**
 * Counts which branches of the PL/pgSQL functions of a database run: every body gets a call at the start of each branch, which
 * takes a number from a sequence of that branch (a sequence counts in read-only functions too, and keeps its count when the
 * transaction is rolled back).
 * @returns all branches, and those that never ran up to now
 */
export async function countBranches(
  pool: pg.Pool,
): Promise<{ readonly branches: readonly Branch[]; readonly neverRan: () => Promise<Branch[]> }> {
  const { rows } = await pool.query<{ name: string; definition: string; body: string }>(
    `select oid::regprocedure::text as name, pg_get_functiondef(oid) as definition, prosrc as body from pg_proc
     where pronamespace = 'parley'::regnamespace and prolang = (select oid from pg_language where lanname = 'plpgsql')
     order by 1`,
  );
  const branches: Branch[] = [];
  const statements: string[] = [];
  for (const { name, definition, body } of rows) {
    const counted = instrument(body, (line, what) => {
      const key = branches.push({ key: branches.length + 1, function: name, line, what });
      return `perform nextval('branches.b${key}');`;
    });
    statements.push(definition.replace(body, () => counted));
  }
  await pool.query('create schema branches');
  await pool.query(branches.map(({ key }) => `create sequence branches.b${key}`).join(';'));
  for (const statement of statements) await pool.query(statement);
  return {
    branches,
    neverRan: async () => {
      const { rows: ran } = await pool.query<{ key: number }>(
        `select substr(sequencename, 2)::int as key from pg_sequences where schemaname = 'branches' and last_value is not null`,
      );
      const keys = new Set(ran.map(({ key }) => key));
      return branches.filter(({ key }) => !keys.has(key));
    },
  };
}

/**
 * Puts a statement at the start of every branch: of the body, of `if`, `elsif`, `else`, `when`, of loops, and of the `else` that
 * an `if` leaves out.
 * @param mark makes the statement, for a line of the body and the words that lead to the branch
 */
export function instrument(body: string, mark: (line: number, what: string) => string): string {
  const tokens = tokenize(body);
  let output = '';
  let copied = 0;
  let i = 0;
  const insert = (at: number, text: string): void => {
    output += body.slice(copied, at) + text;
    copied = at;
  };
  const at = (index: number): Token => tokens[index] ?? { text: '', start: body.length, end: body.length };
  const lineOf = (position: number): number => body.slice(0, position).split('\n').length;
  /** Goes behind a keyword that is in no expression of its own. */
  const skipTo = (keyword: string): void => {
    let depth = 0;
    for (; i < tokens.length; i++) {
      const { text } = at(i);
      if (depth === 0 && text === keyword) break;
      if (text === '(' || text === 'case') depth++;
      if (text === ')' || text === 'end') depth--;
    }
    i++;
  };
  const branch = (from: number): void => {
    const what = body.slice(from, at(i - 1).end).replace(/\s+/g, ' ');
    insert(at(i - 1).end, ` ${mark(lineOf(from), what)}`);
  };
  const open: { readonly isIf: boolean; hasElse: boolean }[] = [];

  skipTo('begin');
  branch(at(i - 1).start);
  while (i < tokens.length) {
    const { text, start } = at(i);
    if (text === 'if' || text === 'elsif') {
      if (text === 'if') open.push({ isIf: true, hasElse: false });
      i++;
      skipTo('then');
      branch(start);
    } else if (text === 'case') {
      open.push({ isIf: false, hasElse: false });
      i++;
      skipTo('when');
      skipTo('then');
      branch(start);
    } else if (text === 'when') {
      i++;
      skipTo('then');
      branch(start);
    } else if (text === 'else') {
      const block = open.at(-1);
      if (block !== undefined) block.hasElse = true;
      i++;
      branch(start);
    } else if (text === 'for' || text === 'while' || text === 'foreach' || text === 'loop') {
      skipTo('loop');
      branch(start);
    } else if (text === 'end') {
      const what = at(i + 1).text;
      if (what === 'if' || what === 'case') {
        const block = open.pop();
        if (block?.isIf === true && !block.hasElse) {
          insert(start, `else ${mark(lineOf(start), 'else (left out)')} `);
        }
      }
      while (i < tokens.length && at(i).text !== ';') i++;
      i++;
    } else {
      skipTo(';');
    }
  }
  return output + body.slice(copied);
}

interface Token {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Words, and the signs that matter; strings and comments fall away. */
function tokenize(body: string): Token[] {
  const pattern = /'(?:[^']|'')*'|--[^\n]*|[a-z_][a-z_0-9$]*|[();]/gi;
  return [...body.matchAll(pattern)]
    .filter(([text]) => !text.startsWith("'") && !text.startsWith('--'))
    .map((match) => ({ text: match[0].toLowerCase(), start: match.index, end: match.index + match[0].length }));
}
