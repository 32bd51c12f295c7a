import { readFileSync } from 'node:fs';
import { own } from '../../domain/own.ts';
import { childProcesses } from '../../local/process-table.ts';

/** Clock ticks of /proc per second: `sysconf(_SC_CLK_TCK)`, which is 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** CPU time in milliseconds by process name. Empty where there is no /proc. */
export type CpuTimes = Readonly<Record<string, number>>;

/** CPU time in ms that a process and its children, ended ones too, have used so far. `undefined` = no such process. */
export function cpuMs(pid: number): number | undefined {
  // This process started all the others. They must not be counted twice.
  const isOwn = pid === process.pid;
  const own = ticks(pid, !isOwn);
  if (own === undefined) return undefined;
  // Postgres serves each connection in a separate child process.
  const children = isOwn ? [] : childProcesses(pid);
  return ((own + children.reduce((sum, child) => sum + (ticks(child, false) ?? 0), 0)) * 1000) / TICKS_PER_SECOND;
}

/** The current CPU times of several processes. */
export function cpuTimes(pids: Readonly<Record<string, number>>): CpuTimes {
  return Object.fromEntries(Object.entries(pids).flatMap(([name, pid]) => entry(name, cpuMs(pid))));
}

/** The CPU time used between two readings. A process that was replaced in between is left out. */
export function cpuBetween(before: CpuTimes, after: CpuTimes): CpuTimes {
  return Object.fromEntries(
    Object.entries(after).flatMap(([name, ms]) => {
      const earlier = own(before, name);
      return earlier === undefined || ms < earlier ? [] : [[name, ms - earlier]];
    }),
  );
}

/** Resident memory in MB without children, because Postgres shares its buffers. `undefined` = no such process. */
export function residentMb(pid: number): number | undefined {
  const kb = /^VmRSS:\s+(\d+) kB$/m.exec(read(`/proc/${pid}/status`))?.[1];
  return kb === undefined ? undefined : Number(kb) / 1024;
}

/** The current resident memory of several processes, in MB. */
export function residentMbs(pids: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(pids).flatMap(([name, pid]) => entry(name, residentMb(pid))));
}

/** User and system time (fields 14, 15 of proc(5)), and with `withEnded` that of ended children (fields 16, 17). */
function ticks(pid: number, withEnded: boolean): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === '') return undefined;
  // The command name stands in parentheses and may hold spaces; the first field after it is the third.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, withEnded ? 15 : 13).reduce((sum, field) => sum + Number(field), 0);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function entry(name: string, value: number | undefined): [string, number][] {
  return value === undefined ? [] : [[name, value]];
}
