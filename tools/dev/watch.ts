import { spawn } from 'node:child_process';
import { watch } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { isOfTheService, readCompilerLine } from './compiler-output.ts';

export interface Watching {
  readonly stop: () => void;
}

/** An editor may write a file in several steps. */
const SETTLE_MS = 100;

/**
 * Compiles on every change of the sources, and calls `onChange` when API and worker have something new to run: compiled
 * code without errors, or SQL.
 */
export function watchSources(given: {
  /** The package's folder. */
  readonly root: string;
  readonly say: (line: string) => void;
  readonly onChange: () => void;
  /** The compiler has ended by itself. */
  readonly onEnd: (error: Error) => void;
}): Watching {
  const { root, say, onChange, onEnd } = given;
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = ['-p', 'tsconfig.build.json', '--watch', '--preserveWatchOutput', '--listEmittedFiles'];
  // A group of its own: the terminal's Ctrl-C is for this process, which ends the compiler.
  const compiler = spawn(process.execPath, [tsc, ...args], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const kill = (): void => void compiler.kill();
  process.once('exit', kill);
  let isStopping = false;
  let isChanged = false;
  createInterface({ input: compiler.stdout }).on('line', (line) => {
    const event = readCompilerLine(line);
    if (event?.kind === 'line') say(event.text);
    if (event?.kind === 'emitted') isChanged ||= isOfTheService(event.file);
    if (event?.kind !== 'done') return;
    if (event.errors > 0) return say(`${event.errors} errors: API and worker run on as they were.`);
    if (isChanged) onChange();
    isChanged = false;
  });
  compiler.once('exit', (code) => {
    process.off('exit', kill);
    if (!isStopping) onEnd(new Error(`The compiler ended (${code ?? 'by a signal'}).`));
  });

  let timer: NodeJS.Timeout | undefined;
  const sql = watch(path.join(root, 'store'), { recursive: true }, (_, name) => {
    if (name?.endsWith('.sql') !== true) return;
    clearTimeout(timer);
    timer = setTimeout(onChange, SETTLE_MS);
  });
  return {
    stop: () => {
      isStopping = true;
      clearTimeout(timer);
      sql.close();
      kill();
    },
  };
}
