import type { Config } from './config.ts';
import { databaseProblem } from './database-problem.ts';

/**
 * Says in a sentence why a process did not start, if that is a mistake of whoever started it.
 * @param port the variable and its value of the port on which the process listens
 * @returns undefined = another error, whose stack is needed
 */
export function startProblem(
  error: unknown,
  config: Pick<Config, 'databaseUrl' | 'host'>,
  port: { readonly variable: string; readonly value: number },
): string | undefined {
  const { code, syscall, port: other = port.value } = error as NodeJS.ErrnoException & { port?: number };
  if (syscall === 'listen' || syscall === 'getaddrinfo') {
    if (code === 'EADDRINUSE') return `${port.variable}: port ${other} is already in use`;
    if (code === 'EACCES') return `${port.variable}: this user may not open port ${other}`;
    if (code === 'EADDRNOTAVAIL') return `HOST: this machine has no address ${config.host}`;
  }
  return databaseProblem(error, config.databaseUrl);
}
