import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';

type Row = { pid: number; parent: number; state: string; started: string };

/**
 * Start time of a process. It distinguishes the process from a later process with the same pid.
 * @returns undefined if the process has ended. A zombie counts as ended: it holds no port, file or memory.
 */
export function processIdentity(pid: number): string | undefined {
  const row = existsSync('/proc/self/stat') ? rowFromProc(pid) : rowsFromPs(['-p', String(pid)])[0];
  return row === undefined || row.state.startsWith('Z') ? undefined : row.started;
}

/** Pids of the direct children of a process, without zombies. */
export function childProcesses(pid: number): number[] {
  const rows = existsSync('/proc/self/stat')
    ? readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? (rowFromProc(Number(name)) ?? []) : []))
    : rowsFromPs(['-A']);
  return rows.filter(({ parent, state }) => parent === pid && !state.startsWith('Z')).map((row) => row.pid);
}

/** The command line of a process. Empty = the process has ended. */
export function commandLine(pid: number): string {
  try {
    if (existsSync('/proc/self/stat')) return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}

/** Sends a signal. @returns false if the process has already ended */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

function rowFromProc(pid: number): Row | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name is in parentheses and may contain spaces. The fields after it are separated by spaces (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { pid, state: fields[0] ?? '', parent: Number(fields[1]), started: fields[19] ?? '' };
  } catch {
    return undefined;
  }
}

function rowsFromPs(selection: string[]): Row[] {
  let output: string;
  try {
    output = execFileSync('ps', [...selection, '-o', 'pid=,ppid=,state=,lstart='], { encoding: 'utf8' });
  } catch {
    return [];
  }
  return output.split('\n').flatMap((line) => {
    const match = /^(\d+)\s+(\d+)\s+(\S+)\s+(\S.*)$/.exec(line.trim());
    if (match === null) return [];
    const [, pid = '', parent = '', state = '', started = ''] = match;
    return [{ pid: Number(pid), parent: Number(parent), state, started }];
  });
}
