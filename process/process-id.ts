import { hostname } from 'node:os';

/** Name of this process for operators, in the table `process`. One that starts again has another name. */
export function processId(kind: string): string {
  const startedMs = Math.round(Date.now() - process.uptime() * 1000);
  return `${kind}/${hostname()}/${process.pid}/${startedMs.toString(36)}`;
}
