import { spawn } from 'node:child_process';

export type RunOptions = {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  uid?: number;
  gid?: number;
  signal?: AbortSignal;
  timeoutMs?: number;
};

/**
 * Runs a command and waits for its end.
 * @returns its output
 * @throws Error with the last five lines of its output
 */
export function runCommand(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { timeoutMs = 300_000, ...spawnOptions } = options;
  return new Promise((resolve, reject) => {
    let output = '';
    const child = spawn(command, args, { ...spawnOptions, timeout: timeoutMs, stdio: ['ignore', 'pipe', 'pipe'] });
    const collect = (chunk: Buffer): void => {
      output += chunk.toString('utf8');
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', (cause) => reject(new Error(`Cannot run ${command}: ${cause.message}`, { cause })));
    child.once('close', (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} failed (${signal ?? `exit code ${code ?? 'unknown'}`}): ${lastLines(output)}`));
    });
  });
}

function lastLines(output: string): string {
  return output.trimEnd().split('\n').slice(-5).join('\n');
}
