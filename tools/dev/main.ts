// `npm run dev`: PostgreSQL and Temporal as with `npm start`, and API and worker that start again whenever the sources change.
import path from 'node:path';
import { configurationProblems } from '../../local/configuration.ts';
import { startControl } from '../../local/control/start.ts';
import { makeTerminal } from '../../local/control/terminal.ts';
import { killAllParts } from '../../local/data-lock.ts';
import { readStackOptions } from '../../local/options.ts';
import { type PartContext, migrate, startPrograms } from '../../local/parts.ts';
import { makePartStates } from '../../local/part-states.ts';
import { runCommand } from '../../local/run-command.ts';
import { removeRunningStack, writeRunningStack } from '../../local/service-url.ts';
import { runningStack, startServers } from '../../local/stack.ts';
import { summary } from '../../local/summary.ts';
import { createCleanup } from '../../process/cleanup.ts';
import { readEnvironment } from '../../process/env-file.ts';
import { readSecretFiles } from '../../process/secret-files.ts';
import { packageRoot } from '../../process/package-root.ts';
import { makeRestarts } from './restarts.ts';
import { watchSources } from './watch.ts';
import { messageOf } from '../../process/message-of.ts';

/** Ctrl-C arrives twice: from the terminal, and from npm, which passes it on. A second press is later than this. */
const SAME_PRESS_MS = 1000;

const root = packageRoot();
const { env, ...file } = readEnvironment(process.env, root);
const options = readStackOptions(env, root, process.argv.slice(2), file);
const compiled = path.join(root, 'dist');
const terminal = makeTerminal((line) => void process.stdout.write(`${line}\n`));
const { say } = terminal;
const abort = new AbortController();
const servers = createCleanup();
let programs = createCleanup();
let exitCode = 0;

const ended = new Promise<void>((resolve) => {
  const end = (why: string): void => {
    say(`\n${why}: stopping everything (once more: at once, without waiting)`);
    abort.abort(new Error(why));
    resolve();
  };
  let firstAt: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (firstAt === undefined) {
        firstAt = Date.now();
        end(signal);
      } else if (Date.now() - firstAt > SAME_PRESS_MS) {
        killAllParts(options);
        process.exit(1);
      }
    });
  }
  abort.signal.addEventListener('abort', () => resolve());
});

/** Ends everything because of an error. */
function fail(error: unknown): void {
  if (abort.signal.aborted) return;
  exitCode = 1;
  process.stderr.write(`${messageOf(error)}\n`);
  abort.abort(error);
}

/** Starts API and worker. If one does not start, a line says why, and the next change starts both again. */
async function startBoth(children: PartContext): Promise<void> {
  programs = createCleanup();
  const context = { ...children, cleanup: programs };
  try {
    await migrate(context);
    await startPrograms(context);
  } catch (error) {
    if (!abort.signal.aborted) say(`${String(error)}\nWaiting for the next change.`);
  }
}

async function main(): Promise<void> {
  const script = (...parts: string[]): string => path.join(compiled, ...parts);
  const { stack, children: ofServers } = await startServers({
    options,
    scripts: {
      migrate: script('ops', 'migrate.js'),
      worker: script('worker', 'main.js'),
      api: script('api', 'main.js'),
    },
    env: readSecretFiles(env).env,
    findProblems: () => configurationProblems(env, options, file),
    say,
    cleanup: servers,
    states: makePartStates(),
    signal: abort.signal,
  });
  const children = await startControl(ofServers, stack, terminal);
  const restarts = makeRestarts(async () => {
    const startedAt = performance.now();
    say('\nThe sources have changed.');
    try {
      await runCommand(process.execPath, [script('worker', 'build-bundle.js')]);
    } catch (error) {
      say(`${String(error)}\nAPI and worker run on as they were.`);
      return;
    }
    await programs.run();
    await startBoth(children);
    say(`Started again in ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`);
  });
  await startBoth(children);
  const watching = watchSources({ root, say, onChange: restarts.request, onEnd: fail });
  writeRunningStack(options.dataDir, runningStack(stack));
  servers.add('note of the stack', () => removeRunningStack(options.dataDir));
  // Not for the page: it has a token.
  process.stdout.write(`${await summary(stack)}\n`);
  say('Watching the sources: API and worker start again when they change.');
  await ended;
  watching.stop();
  await restarts.stop();
}

await main().catch(fail);
for (const cleanup of [programs, servers]) await cleanup.run().catch(fail);
if (exitCode === 0) say('Parley has stopped.');
process.exit(exitCode);
