import { cpSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { runCommand } from '../../local/run-command.ts';
import { OF_NPM_START } from '../../ops/helm/values-schema.ts';
import { CONFIG_NAMES, loadConfig } from '../../process/config.ts';
import { packageRoot } from '../../process/package-root.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { testFolder } from '../harness/folder.ts';

interface Stack {
  readonly services: Readonly<
    Record<
      string,
      { readonly environment?: Readonly<Record<string, string>>; readonly secrets?: readonly { source: string }[] }
    >
  >;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const compose = edgeTool('docker-compose') ?? '';

/** A folder as an operator has it: the compose files, ops, and secrets of its own. */
async function operatorsFolder(env = ''): Promise<string> {
  const folder = testFolder();
  for (const name of ['docker-compose.yml', 'docker-compose.development.yml', 'ops'])
    cpSync(path.join(packageRoot(), name), path.join(folder, name), { recursive: true });
  await runCommand('sh', [path.join(folder, 'ops', 'compose', 'make-secrets.sh')]);
  writeFileSync(path.join(folder, '.env'), env);
  return folder;
}

async function configOf(folder: string, ...files: string[]): Promise<Stack> {
  const { PATH, HOME } = process.env;
  const args = files.flatMap((file) => ['-f', file]);
  const text = await runCommand(compose, [...args, 'config', '--format', 'json'], { cwd: folder, env: { PATH, HOME } });
  return JSON.parse(text) as Stack;
}

describe.skipIf(compose === '')('docker compose', () => {
  test('accepts the files, and needs nothing but the secrets', async () => {
    const { services, secrets } = await configOf(await operatorsFolder());
    expect(Object.keys(services)).toEqual(expect.arrayContaining(['api', 'worker', 'proxy', 'temporal', 'postgres']));
    for (const { file } of Object.values(secrets)) expect(readFileSync(file, 'utf8')).toMatch(/^[0-9a-f]{64}$/);
  });

  test('every variable of the configuration page can be set for the containers', async () => {
    const names = CONFIG_NAMES.filter((name) => !OF_NPM_START.includes(name));
    const { services } = await configOf(await operatorsFolder(names.map((name) => `${name}=set-${name}\n`).join('')));
    for (const service of ['api', 'worker', 'migrate', 'temporal-namespace']) {
      const { environment = {} } = services[service] ?? {};
      for (const name of names) expect([service, name, environment[name]]).toEqual([service, name, `set-${name}`]);
    }
    expect(services.proxy?.environment?.API_PORT).toBe('set-PORT');
  });

  test('what the containers get by default is a configuration that Parley accepts', async () => {
    const folder = await operatorsFolder('JWT_JWKS_URL=https://issuer.example.org/keys\n');
    const { services } = await configOf(folder);
    // In the container the secret is at its place; here it is in the folder.
    const inside = (env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv =>
      Object.fromEntries(
        Object.entries(env).map(([name, value]) => [name, value.replace('/run/secrets', path.join(folder, 'secrets'))]),
      );
    const password = readFileSync(path.join(folder, 'secrets', 'postgres-password'), 'utf8');
    const api = loadConfig(inside(services.api?.environment), 'api');
    expect(api.databaseUrl).toBe(`postgres://parley:${password}@postgres:5432/parley`);
    expect(api.trustProxy).toBe(1);
    for (const [name, part] of [
      ['worker', 'worker'],
      ['migrate', 'migrate'],
      ['temporal-namespace', 'namespace'],
    ] as const)
      expect(loadConfig(inside(services[name]?.environment), part).temporalAddress).toBe('temporal:7233');
  });

  test('known secrets are only in the development file', async () => {
    const folder = await operatorsFolder();
    const known = readFileSync(path.join(folder, 'ops', 'compose', 'development', 'password'), 'utf8').trim();
    const development = await configOf(folder, 'docker-compose.yml', 'docker-compose.development.yml');
    expect(development.services.api?.environment?.JWT_SECRET).toMatch(/^development-only-/);
    for (const { file } of Object.values(development.secrets)) expect(readFileSync(file, 'utf8').trim()).toBe(known);
    const real = JSON.stringify(await configOf(folder));
    expect(real).not.toContain('JWT_SECRET');
    expect(real).not.toContain('ops/compose/development');
  });
});

test('the script for secrets keeps what is there, and closes the folder to others', async () => {
  const folder = await operatorsFolder();
  const file = path.join(folder, 'secrets', 'postgres-password');
  const before = readFileSync(file, 'utf8');
  const said = await runCommand('sh', [path.join(folder, 'ops', 'compose', 'make-secrets.sh')]);
  expect(said).toContain('secrets/postgres-password: is there already');
  expect(readFileSync(file, 'utf8')).toBe(before);
  expect(statSync(path.join(folder, 'secrets')).mode & 0o777).toBe(0o700);
  expect(statSync(file).mode & 0o777).toBe(0o644);
});
