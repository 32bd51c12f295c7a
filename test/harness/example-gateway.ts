import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';

/** The gateway of the docs (docs/how-to/push/gateway.mjs), as a process of its own. */
export interface ExampleGateway {
  readonly url: string;
  /** What it handed on. */
  readonly handedOn: () => Record<string, unknown>[];
  readonly stop: () => void;
}

export async function startExampleGateway(secret: string): Promise<ExampleGateway> {
  const script = path.join(packageRoot(), 'docs/how-to/push/gateway.mjs');
  const child: ChildProcess = spawn(process.execPath, [script], {
    env: { PATH: process.env.PATH, PORT: '0', GATEWAY_SECRET: secret },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const lines = (): Record<string, unknown>[] =>
    output
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  await waitUntil(() => lines().length > 0, { what: 'the example gateway listens' });
  return {
    url: `http://127.0.0.1:${String(lines()[0]?.listening)}/`,
    handedOn: () => lines().slice(1),
    stop: () => void child.kill('SIGKILL'),
  };
}
