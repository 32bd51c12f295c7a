// `npm run schemathesis` runs Schemathesis (https://schemathesis.io) with all its checks against the OpenAPI document
// of a running service. It needs Python 3.10 or newer and a package index. Arguments are passed on to Schemathesis.
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { developmentSecret, signToken } from '../../local/development-token.ts';
import { stackOptions } from '../../local/options.ts';
import { freePort } from '../../local/ports.ts';
import { runCommand } from '../../local/run-command.ts';
import { startLocalStack } from '../demo/local-stack.ts';
import { LIMITS_OFF } from '../harness/limits-off.ts';
import { readApi } from './document.ts';

const VERSION = '4.32.5';
/** Number of cases for each operation and phase. */
const EXAMPLES = 60;
/** Longer than the deadline of a request. */
const TIMEOUT_S = 15;
/** Checks that do not apply to this API, and the reasons. */
const NOT_FOR_US: Readonly<Record<string, string>> = {
  positive_data_acceptance: 'valid base64 may still be no MLS message, and an id may name nothing that exists',
};

const say = (line: string): void => void process.stdout.write(`${line}\n`);

process.exit(await main());

async function main(): Promise<number> {
  const root = packageRoot();
  const program = await install(path.join(root, '.cache', `schemathesis-${VERSION}`));
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-schemathesis-'));
  // When this runs as root, PostgreSQL runs as another user, who must be able to enter the folder.
  chmodSync(folder, 0o755);
  const env = { ...process.env, ...(await ownEnvironment(folder)) };
  const options = stackOptions(env, root);
  const stack = startLocalStack({ options, root, env, say });
  const stop = async (): Promise<void> => {
    await stack.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stop().then(() => process.exit(130)));
  try {
    await stack.started;
    const secret = developmentSecret(options) ?? '';
    const token = await signToken({ secret, audience: options.jwt.audience, user: 'schemathesis', operator: true });
    return await run(program, `http://${options.host}:${options.ports.api}`, token);
  } finally {
    await stop();
  }
}

/** An environment with its own data and ports, and without rate limits. */
async function ownEnvironment(folder: string): Promise<Record<string, string>> {
  const ports = ['PORT', 'ADMIN_PORT', 'POSTGRES_PORT', 'TEMPORAL_PORT', 'TEMPORAL_UI_PORT', 'CONTROL_PORT'];
  const entries: [string, string][] = [
    ['PARLEY_DATA_DIR', folder],
    ['HOST', '127.0.0.1'],
    ['SDK_METRICS_PORT', '0'],
    ['LOG_LEVEL', 'warn'],
    ['DATABASE_URL', ''],
    ['TEMPORAL_ADDRESS', ''],
    ...Object.entries(LIMITS_OFF),
  ];
  for (const name of ports) entries.push([name, String(await freePort())]);
  return Object.fromEntries(entries);
}

/** Installs Schemathesis into a virtual environment that later runs use again. @returns the path of the program */
async function install(folder: string): Promise<string> {
  const program = path.join(folder, 'bin', 'schemathesis');
  if (existsSync(program)) return program;
  say(`Installing schemathesis ${VERSION}.`);
  await runCommand('python3', ['-m', 'venv', folder]);
  await runCommand(path.join(folder, 'bin', 'pip'), ['install', '--quiet', `schemathesis==${VERSION}`]);
  return program;
}

async function run(program: string, url: string, token: string): Promise<number> {
  const { operations } = await readApi(url);
  // A stream does not end, and Schemathesis would wait for its end.
  const streams = operations.filter(({ answers }) =>
    [...answers.values()].some(({ content }) => 'text/event-stream' in content),
  );
  const args = [
    'run',
    `${url}/openapi.json`,
    '--url',
    url,
    '--header',
    `Authorization: Bearer ${token}`,
    '--checks',
    'all',
    '--exclude-checks',
    Object.keys(NOT_FOR_US).join(','),
    '--max-examples',
    String(EXAMPLES),
    '--request-timeout',
    String(TIMEOUT_S),
    '--continue-on-failure',
    '--generation-database',
    'none',
    ...streams.flatMap(({ name }) => ['--exclude-operation-id', name]),
    ...process.argv.slice(2),
  ];
  const child = spawn(program, args, { stdio: 'inherit', cwd: tmpdir() });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}
