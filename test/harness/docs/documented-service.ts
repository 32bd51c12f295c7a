import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { freePort } from '../../../local/ports.ts';
import { resolveProgram } from '../../../local/temporal-binary.ts';
import { temporalCli } from '../../../local/temporal-programs.ts';

/** The service that the documentation talks of, on the ports and in the folder of a test. */
export interface DocumentedService {
  readonly environment: NodeJS.ProcessEnv;
  readonly url: string;
  /** The same commands, with the ports, folders and ids of this service. */
  readonly here: (commands: string) => string;
  /** Once it runs. */
  readonly databaseUrl: () => string;
  readonly temporalAddress: string;
  readonly jwtSecret: () => string;
}

/**
 * Runs `npm start` and `npm run <name> -- …` as in package.json, without the build, which runs before all tests. So `npm run build` has
 * nothing to do.
 */
const NPM = `#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
const all = process.argv.slice(2).filter((arg) => arg !== 'run' && arg !== '--silent');
// The first -- is npm's, a second one the program's.
const args = all.filter((arg, i) => i !== all.indexOf('--'));
if (args[0] === 'build') process.exit(0);
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
const command = scripts[args[0]]?.replace(/node local\\/setup\\.mjs \\S+ &&/, '').replace('exec', '').trim();
if (!command?.startsWith('node ')) throw new Error('no such script: ' + args[0]);
const [, ...rest] = command.split(' ');
const child = spawn(process.execPath, [...rest, ...args.slice(1)], { stdio: 'inherit' });
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => process.exit(code ?? 1));
`;

/** @param folder is removed after the test */
export async function documentedService(folder: string): Promise<DocumentedService> {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(path.join(bin, 'npm'), NPM, { mode: 0o755 });
  writeFileSync(path.join(bin, 'package.json'), '{"type": "module"}');
  // An answer with a problem fails the command.
  writeFileSync(path.join(bin, '.curlrc'), 'fail-with-body\n');
  const [api = 0, admin = 0, postgres = 0, temporal = 0, ui = 0, control = 0] = await Promise.all(
    Array.from({ length: 6 }, freePort),
  );
  const data = path.join(folder, 'data');
  // Whoever types commands has the program of Temporal.
  const temporalFolder = path.dirname(await resolveProgram(temporalCli, { say: () => undefined }));
  const url = `http://127.0.0.1:${api}`;
  const temporalAddress = `127.0.0.1:${temporal}`;
  const text = (file: string): string => readFileSync(path.join(data, file), 'utf8').trim();
  return {
    url,
    temporalAddress,
    environment: {
      PATH: [bin, process.env.PATH ?? '', temporalFolder].join(path.delimiter),
      HOME: process.env.HOME,
      CURL_HOME: bin,
      PARLEY_DATA_DIR: data,
      PORT: String(api),
      ADMIN_PORT: String(admin),
      SDK_METRICS_PORT: '0',
      POSTGRES_PORT: String(postgres),
      TEMPORAL_PORT: String(temporal),
      TEMPORAL_UI_PORT: String(ui),
      CONTROL_PORT: String(control),
      HOST: '127.0.0.1',
      URL: url,
    },
    here: (commands) =>
      commands
        .replaceAll('http://localhost:8080', url)
        .replaceAll('127.0.0.1:5433', `127.0.0.1:${postgres}`)
        .replaceAll('127.0.0.1:7233', temporalAddress)
        .replaceAll('.parley/', `${data}/`)
        // Histories of the repository are looked at by other tests at the same time.
        .replaceAll('test/histories/debug.json', path.join(folder, 'debug.json')),
    databaseUrl: () => `postgres://parley:${text('postgres/parley-password')}@127.0.0.1:${postgres}/parley`,
    jwtSecret: () => text('jwt-secret'),
  };
}
