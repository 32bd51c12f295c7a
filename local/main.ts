// `npm start`: starts PostgreSQL and Temporal, migrates the database, starts worker and API, and runs until Ctrl-C.
import path from 'node:path';
import { packageRoot } from '../process/package-root.ts';
import { readEnvironment } from '../process/env-file.ts';
import { readSecretFiles } from '../process/secret-files.ts';
import { configurationProblems } from './configuration.ts';
import { readStackOptions, USAGE } from './options.ts';
import { removeRunningStack, writeRunningStack } from './service-url.ts';
import { runningStack, superviseStack } from './stack.ts';
import { summary } from './summary.ts';
import { messageOf } from '../process/message-of.ts';

/**
 * One Ctrl-C sends two signals: the terminal sends one, and npm forwards another. Signals within this time are one
 * press.
 */
const samePressMs = 1_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
// Writing to a closed terminal fails. The error must not interrupt the shutdown.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);

process.exit(await main());

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    say(USAGE);
    return 0;
  }
  const root = packageRoot();
  const { env, ...file } = readEnvironment(process.env, root);
  const options = readStackOptions(env, root, process.argv.slice(2), file);
  const compiled = path.join(root, 'dist');
  const supervisor = superviseStack({
    options,
    scripts: {
      migrate: path.join(compiled, 'ops', 'migrate.js'),
      worker: path.join(compiled, 'worker', 'main.js'),
      api: path.join(compiled, 'api', 'main.js'),
    },
    env: readSecretFiles(env).env,
    say,
    findProblems: () => configurationProblems(env, options, file),
  });
  const asked = stopRequests(() => {
    supervisor.kill();
    process.exit(1);
  });
  let code = 0;
  try {
    const stack = await Promise.race([supervisor.started, asked]);
    if (stack !== undefined) {
      writeRunningStack(options.dataDir, runningStack(stack));
      say(await summary(stack));
      await asked;
      removeRunningStack(options.dataDir);
    }
  } catch (error) {
    code = failWith(error);
  }
  try {
    await supervisor.stop();
  } catch (error) {
    code = failWith(error);
  }
  if (code === 0) say('Parley has stopped.');
  return code === 0 ? Number(process.exitCode ?? 0) : code;
}

/** Resolves at the first request to stop. Calls `force` at the second request. */
function stopRequests(force: () => void): Promise<undefined> {
  return new Promise((resolve) => {
    let first: number | undefined;
    const request = (why: string): void => {
      if (first === undefined) {
        first = Date.now();
        say(`\n${why}. Stopping all processes. Press Ctrl-C again to kill them at once.`);
        resolve(undefined);
      } else if (Date.now() - first > samePressMs) {
        say('Killing all processes.');
        force();
      }
    };
    process.on('SIGINT', () => request('Received Ctrl-C'));
    process.on('SIGTERM', () => request('Received SIGTERM'));
    process.on('SIGHUP', () => request('The terminal was closed'));
    process.on('uncaughtException', (error) => {
      failWith(error);
      process.exitCode = 1;
      request('An unexpected error occurred');
    });
    watchNpm(() => request('npm has ended'));
  });
}

/**
 * Calls `ended` when npm ends. A killed npm forwards no signal, so without this check all processes would stay in the
 * background.
 */
function watchNpm(ended: () => void): void {
  if (process.env.npm_lifecycle_event !== 'start') return;
  const { ppid } = process;
  const timer = setInterval(() => {
    if (process.ppid === ppid) return;
    clearInterval(timer);
    ended();
  }, 1_000).unref();
}

function failWith(error: unknown): number {
  process.stderr.write(`${messageOf(error)}\n`);
  return 1;
}
