import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { freePort } from '../../../local/ports.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { temporaryFolder } from '../../../tools/harness/temporary-folder.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { type ControlClient, controlClient } from '../control.ts';

const PORTS = ['PORT', 'ADMIN_PORT', 'POSTGRES_PORT', 'TEMPORAL_PORT', 'TEMPORAL_UI_PORT', 'CONTROL_PORT'] as const;

/** A stack of `npm start`, as a person starts it. */
export interface WebAppStack {
  /** Where the web app is, as the terminal says. */
  readonly url: string;
  readonly control: ControlClient;
  readonly controlUrl: string;
  /** What the terminal said. */
  readonly said: () => string;
}

/** `npm start` with ports and a folder of its own, before the first test of a file. @param env settings of the test */
export function useWebAppStack(env: Readonly<Record<string, string>> = {}): () => WebAppStack {
  let stack: WebAppStack | undefined;
  let stop = (): Promise<void> => Promise.resolve();
  beforeAll(async () => {
    const folder = temporaryFolder('web-app');
    const ports: Record<string, string> = {};
    for (const name of PORTS) ports[name] = String(await freePort());
    const child = spawn(process.execPath, [path.join(packageRoot(), 'dist', 'local', 'main.js')], {
      env: {
        ...{ PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR },
        ...{ PARLEY_DATA_DIR: path.join(folder.path, 'data'), PARLEY_ENV_FILE: '/dev/null', SDK_METRICS_PORT: '0' },
        ...ports,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ended = once(child, 'exit');
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
    stop = async () => {
      child.kill('SIGTERM');
      await ended;
      folder.remove();
    };
    await waitUntil(() => said.includes('Parley is ready.') || child.exitCode !== null, {
      what: 'the stack is ready',
      timeoutMs: 180_000,
    });
    const url = /Web app +(\S+)/.exec(said)?.[1];
    if (url === undefined) throw new Error(`npm start did not come up:\n${said}`);
    const [api, control] = [Number(ports.PORT), Number(ports.CONTROL_PORT)];
    stack = {
      url,
      control: controlClient({ api, control }),
      controlUrl: `http://127.0.0.1:${control}`,
      said: () => said,
    };
  });
  afterAll(() => stop(), 120_000);
  return () => {
    if (stack === undefined) throw new Error('The stack runs only while tests run');
    return stack;
  };
}
