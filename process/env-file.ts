import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parseEnv } from 'node:util';
import { ensureError } from '../domain/errors.ts';
import type { Places } from './configuration-error.ts';
import { packageRoot } from './package-root.ts';
import { unknownInFile } from './unknown-variables.ts';

/** Variables of the environment and of the file `.env`. */
export interface Environment {
  readonly env: NodeJS.ProcessEnv;
  /** What is wrong with the file, one sentence for each line. */
  readonly problems: readonly string[];
  /** Where those of the file are set. */
  readonly places: Places;
}

/** Names that other programs read from the same file: Compose, Docker, Node, npm, OpenTelemetry, PostgreSQL, Temporal and so on. */
const FOREIGN =
  /^(?:COMPOSE|DOCKER|NODE|NPM|OTEL|POSTGRES|TEMPORAL|GRAFANA|GF|GOGC|TZ|LANG|LC|DEBUG)(?:_|$)|^PG[A-Z]+$|^[a-z]/;
const LINE = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=(.*)$/;

/**
 * Reads the file `.env` of the package's folder, or the one that `PARLEY_ENV_FILE` names. A variable that the environment has wins,
 * also when it is empty. A process that `npm start` started has everything in its environment already.
 * @param given the environment
 */
export function readEnvironment(given: NodeJS.ProcessEnv, root = packageRoot()): Environment {
  if (given.PARLEY_SUPERVISED === '1') return { env: given, problems: [], places: {} };
  const named = given.PARLEY_ENV_FILE?.trim() ?? '';
  const file = path.resolve(root, named === '' ? '.env' : named);
  const shown = path.relative(root, file).startsWith('..') ? file : path.relative(root, file);
  let text: string;
  try {
    text = readFileSync(file, 'utf8')
      .replace(/^\uFEFF/, '')
      .replaceAll('\r\n', '\n');
  } catch (error) {
    const isMissing = named === '' && (error as NodeJS.ErrnoException).code === 'ENOENT';
    const setBy = named === '' ? '' : 'PARLEY_ENV_FILE: ';
    const problems = isMissing ? [] : [`${setBy}${shown} cannot be read: ${ensureError(error).message}`];
    return { env: given, problems, places: {} };
  }
  const { problems, lines } = checkLines(text, shown);
  // parseEnv has the same rules as `node --env-file`.
  const env = { ...parseEnv(text), ...given };
  const places = Object.fromEntries(
    [...lines].filter(([name]) => given[name] === undefined).map(([name, line]) => [name, `${shown}, line ${line}`]),
  );
  return { env, problems, places };
}

function checkLines(text: string, file: string): { problems: string[]; lines: Map<string, number> } {
  const problems: string[] = [];
  const lines = new Map<string, number>();
  const all = text.split('\n');
  for (let at = 0; at < all.length; at++) {
    const line = all[at] ?? '';
    const where = `${file}, line ${at + 1}`;
    if (/^\s*(?:#|$)/.test(line)) continue;
    const [, name, rest = ''] = LINE.exec(line) ?? [];
    const value = rest.trim();
    if (name === undefined) {
      problems.push(`${where}: a line is NAME=value, or begins with #`);
      continue;
    }
    const before = lines.get(name);
    if (before !== undefined) problems.push(`${where}: ${name} is set in line ${before} too`);
    lines.set(name, at + 1);
    const unknown = unknownInFile(name, FOREIGN.test(name));
    if (unknown !== undefined) problems.push(`${where}: ${unknown}`);
    const [quote] = /^["'`]/.exec(value) ?? [];
    if (quote !== undefined) {
      const end = value.includes(quote, 1) ? at : all.findIndex((later, index) => index > at && later.includes(quote));
      if (end < 0) problems.push(`${where}: the quote of ${name} has no end`);
      else at = end;
    } else if (/\S#/.test(value)) {
      problems.push(`${where}: what follows the # is a comment. Put the value of ${name} into quotes`);
    }
  }
  return { problems, lines };
}
