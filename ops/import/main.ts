import path from 'node:path';
import { ensureError } from '../../domain/errors.ts';
import { isMigrated, readSchema } from '../../store/migrate.ts';
import { makePool } from '../../store/pool.ts';
import { reasonOf } from '../../process/database-problem.ts';
import { readEnvironment } from '../../process/env-file.ts';
import { readSecretFiles } from '../../process/secret-files.ts';
import { packageRoot } from '../../process/package-root.ts';
import { describeReport, isComplete } from './describe.ts';
import { type ImportArguments, USAGE, importOptions } from './options.ts';
import { openOriginal } from './original.ts';
import { runImport } from './run.ts';

// `npm run import` reads the database of the original system and writes ours (docs/how-to/migrate.md).
const STATEMENT_MS = 3_600_000;
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(130);
    say('import: ending after the conversations that are being written. Once more ends at once.');
    stop.abort();
  });
}

process.exitCode = await main();

async function main(): Promise<number> {
  let options: ImportArguments | undefined;
  try {
    const { env, problems } = readEnvironment(process.env);
    if (problems.length > 0) throw new Error(problems.join('\n'));
    const secrets = readSecretFiles(env);
    if (secrets.problems.length > 0) throw new Error(secrets.problems.join('\n'));
    options = importOptions(process.argv.slice(2), secrets.env);
  } catch (error) {
    say(`${ensureError(error).message}\n\n${USAGE}`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  try {
    return await run(options);
  } catch (error) {
    say(`Cannot import: ${reasonOf(error, options.to, '--to or DATABASE_URL')}`);
    return 1;
  }
}

async function run({ from, to, json, ...options }: ImportArguments): Promise<number> {
  const pool = makePool({
    url: to,
    max: options.parallel + 1,
    name: 'parley-import',
    statementTimeoutMs: STATEMENT_MS,
  });
  pool.on('error', () => undefined);
  try {
    if (!(await isMigrated(pool, await readSchema(path.join(packageRoot(), 'store'))))) {
      throw new Error('the database of Parley is not migrated. Run `npm run migrate` with its DATABASE_URL first.');
    }
    const original = await openOriginal(from, options.parallel + 1).catch((error: unknown) => {
      throw new Error(reasonOf(error, from, '--from or ORIGINAL_DATABASE_URL'), { cause: error });
    });
    try {
      const report = await runImport({ original, pool, options, say, signal: stop.signal });
      process.stdout.write(`${json ? JSON.stringify(report, null, 2) : describeReport(report)}\n`);
      return isComplete(report) && !stop.signal.aborted ? 0 : 1;
    } finally {
      await original.pool.end();
    }
  } finally {
    await pool.end();
  }
}
