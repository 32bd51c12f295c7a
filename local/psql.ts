// `npm run psql` opens the database of the stack that runs here, or of DATABASE_URL: in psql where it is installed, else in a small
// prompt. `npm run --silent psql -- -c '<SQL>'` runs one command and ends.
import { spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import pg from 'pg';
import { reasonOf } from '../process/database-problem.ts';
import { readEnvironment } from '../process/env-file.ts';
import { packageRoot } from '../process/package-root.ts';
import { databaseUrl } from '../process/database-url.ts';
import { readSecretFiles } from '../process/secret-files.ts';
import { onPath } from './find-program.ts';
import { stackOptions } from './options.ts';
import { readRunningStack } from './service-url.ts';
import { messageOf } from '../process/message-of.ts';

const USAGE = `npm run --silent psql -- [-c <SQL>]
  -c  runs this and ends`;

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`);
  return 1;
});

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { help: { type: 'boolean', default: false }, command: { type: 'string', short: 'c' } },
  });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const { env, url } = findDatabase();
  const psql = onPath('psql', env);
  if (psql !== undefined) return runPsql(psql, url, values.command);
  return useClient(url, values.command);
}

function findDatabase(): { env: NodeJS.ProcessEnv; url: string } {
  const root = packageRoot();
  const { env: given, ...file } = readEnvironment(process.env, root);
  const options = stackOptions(given, root, [], file);
  const { env } = readSecretFiles(given);
  if (options.databaseUrl !== undefined) {
    const whole = databaseUrl(options.databaseUrl, env.DATABASE_PASSWORD?.trim());
    if ('problem' in whole) throw new Error(whole.problem);
    return { env, url: whole.url };
  }
  const running = readRunningStack(options.dataDir)?.databaseUrl;
  if (running === undefined)
    throw new Error(`No stack runs in ${options.dataDir}. Run npm start first, or set DATABASE_URL.`);
  return { env, url: running };
}

/** The URL goes through the environment: arguments are visible to everybody on the machine. */
function runPsql(psql: string, text: string, command: string | undefined): number {
  const url = new URL(text);
  const password = decodeURIComponent(url.password);
  url.password = '';
  url.searchParams.set('options', '-csearch_path=parley');
  const { status } = spawnSync(psql, [...(command === undefined ? [] : ['-c', command]), '--', url.href], {
    stdio: 'inherit',
    env: { ...process.env, ...(password === '' ? {} : { PGPASSWORD: password }) },
  });
  return status ?? 1;
}

async function useClient(url: string, command: string | undefined): Promise<number> {
  const client = new pg.Client({
    connectionString: url,
    options: '-c search_path=parley',
    application_name: 'npm run psql',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (error) {
    throw new Error(reasonOf(error, url), { cause: error });
  }
  try {
    return command === undefined ? await prompt(client) : await run(client, command);
  } finally {
    await client.end();
  }
}

/** Runs what is typed up to each semicolon. */
async function prompt(client: pg.Client): Promise<number> {
  const { stdin: input, stdout: output } = process;
  if (input.isTTY)
    output.write('psql is not installed: this is a small prompt. A command ends with ; and Ctrl-D ends all.\n');
  const lines = createInterface({ input, ...(input.isTTY ? { output } : {}), prompt: 'parley=> ' });
  let sql = '';
  let code = 0;
  lines.prompt();
  for await (const line of lines) {
    sql += `${line}\n`;
    if (line.trimEnd().endsWith(';')) {
      code = await run(client, sql);
      sql = '';
    }
    lines.prompt();
  }
  if (sql.trim() !== '') code = await run(client, sql);
  return code;
}

async function run(client: pg.Client, sql: string): Promise<number> {
  try {
    // Several commands in one text have a result each.
    const results = [await client.query<unknown[]>({ text: sql, rowMode: 'array' })].flat() as pg.QueryArrayResult[];
    for (const result of results) print(result);
    return 0;
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return 1;
  }
}

function print({ command, fields, rows, rowCount }: pg.QueryArrayResult): void {
  if (fields.length === 0) {
    process.stdout.write(`${command}${rowCount === null ? '' : ` ${rowCount}`}\n`);
    return;
  }
  const table = new Table({ head: fields.map(({ name }) => name), style: { head: [], border: [] } });
  table.push(...rows.map((row) => row.map(textOf)));
  process.stdout.write(`${table.toString()}\n(${rows.length} ${rows.length === 1 ? 'row' : 'rows'})\n`);
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (value instanceof Date) return value.toISOString();
  if (Buffer.isBuffer(value)) return `\\x${value.toString('hex')}`;
  return typeof value === 'string' ? value : JSON.stringify(value);
}
