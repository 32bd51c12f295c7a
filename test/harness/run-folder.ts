import { readFileSync, readdirSync } from 'node:fs';
import { signalProcess } from '../../local/process-table.ts';
import { temporaryFolder } from '../../tools/harness/temporary-folder.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';

export interface RunFolder {
  /** Removes the folder. @throws Error that names the files and processes that tests left behind */
  readonly end: () => Promise<void>;
}

/** Processes of the test runner itself, which may live until the run has ended. */
const OF_THE_RUNNER = /vitest|esbuild/;
/** A process that was asked to end needs a moment. */
const PATIENCE_MS = 5000;

/**
 * Makes one folder the temporary folder of all tests and of every process that they start. Nothing of a run is ever
 * anywhere else, so removing it leaves nothing behind, and what is still in it at the end was left there by a test.
 */
export function makeRunFolder(): RunFolder {
  const before = process.env.TMPDIR;
  const folder = temporaryFolder('run');
  process.env.TMPDIR = folder.path;
  return {
    end: async () => {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
      let processes: Found[] = [];
      await waitUntil(() => (processes = processesOf(folder.path)).length === 0, {
        what: 'all processes have ended',
        timeoutMs: PATIENCE_MS,
      }).catch(() => undefined);
      for (const { pid } of processes) signalProcess(pid, 'SIGKILL');
      const left = [
        ...readdirSync(folder.path).filter((name) => name.startsWith('parley-')),
        ...processes.map(({ pid, command }) => `process ${pid}: ${command}`),
      ];
      folder.remove();
      if (left.length > 0) throw new Error(`Tests left behind:\n${left.join('\n')}`);
    },
  };
}

interface Found {
  readonly pid: number;
  readonly command: string;
}

/** Processes that have the folder in their environment or command line; none where there is no /proc. */
function processesOf(folder: string): Found[] {
  return readProcessIds().flatMap((pid) => {
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
    if (command === '' || OF_THE_RUNNER.test(command)) return [];
    return command.includes(folder) || read(`/proc/${pid}/environ`).includes(folder) ? [{ pid, command }] : [];
  });
}

function readProcessIds(): number[] {
  try {
    return readdirSync('/proc').flatMap((name) =>
      /^\d+$/.test(name) && Number(name) !== process.pid ? [Number(name)] : [],
    );
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
