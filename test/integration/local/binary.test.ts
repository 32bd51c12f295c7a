import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { cachePath, resolveProgram } from '../../../local/temporal-binary.ts';
import { temporalCli, type Installer } from '../../../local/temporal-programs.ts';
import { testFolder, writeExecutable } from '../../harness/folder.ts';

const silent = (): void => undefined;

const broken: Installer = { what: () => 'the moon', install: () => Promise.reject(new Error('out of reach')) };

function fakeInstaller(content: string): Installer & { runs: () => number } {
  let runs = 0;
  return {
    what: () => 'a fake',
    runs: () => runs,
    async install({ folder }) {
      runs += 1;
      await Promise.resolve();
      return writeExecutable(path.join(folder, 'downloaded'), content);
    },
  };
}

/** An environment in which nothing is to be found. */
function emptyEnvironment(): { env: NodeJS.ProcessEnv; bin: string } {
  const folder = testFolder();
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  return { env: { PATH: bin, XDG_CACHE_HOME: path.join(folder, 'cache') }, bin };
}

describe('finding the Temporal CLI', () => {
  test('a path in the variable comes first', async () => {
    const { env, bin } = emptyEnvironment();
    writeExecutable(path.join(bin, 'temporal'));
    const own = writeExecutable(path.join(bin, 'own-temporal'));
    await expect(resolveProgram(temporalCli, { say: silent, env: { ...env, TEMPORAL_CLI_PATH: own } })).resolves.toBe(
      own,
    );
  });

  test('a path in the variable that does not exist is an error, whatever else there is', async () => {
    const { env, bin } = emptyEnvironment();
    writeExecutable(path.join(bin, 'temporal'));
    await expect(
      resolveProgram(temporalCli, { say: silent, env: { ...env, TEMPORAL_CLI_PATH: '/nowhere/temporal' } }),
    ).rejects.toThrow('TEMPORAL_CLI_PATH is /nowhere/temporal, which is not an executable file');
  });

  test('the PATH comes before the cache, and the cache before a download', async () => {
    const { env, bin } = emptyEnvironment();
    const options = { say: silent, env, installers: [fakeInstaller('cached')] };
    const cached = await resolveProgram(temporalCli, options);
    expect(cached).toBe(cachePath(temporalCli, env));
    await expect(resolveProgram(temporalCli, { say: silent, env, installers: [broken] })).resolves.toBe(cached);
    const onPath = writeExecutable(path.join(bin, 'temporal'));
    await expect(resolveProgram(temporalCli, { say: silent, env, installers: [broken] })).resolves.toBe(onPath);
  });

  test('the cache is shared by all clones of one version', () => {
    const file = cachePath(temporalCli, { XDG_CACHE_HOME: '/caches' });
    expect(file).toBe(`/caches/parley/temporal-1.9.1-${process.platform}-${process.arch}/temporal`);
    expect(cachePath(temporalCli, { HOME: '/home/ann' })).toContain('/home/ann/.cache/parley/');
  });

  test('the next way is tried when one fails, and each step is said', async () => {
    const { env } = emptyEnvironment();
    const said: string[] = [];
    const fake = fakeInstaller('fake');
    const file = await resolveProgram(temporalCli, { say: (line) => said.push(line), env, installers: [broken, fake] });
    expect(readFileSync(file, 'utf8')).toBe('fake');
    expect(said).toEqual([
      expect.stringContaining('temporal: fetching the moon'),
      'temporal: that did not work: out of reach',
      expect.stringContaining('temporal: fetching a fake'),
    ]);
  });

  test('two at once both succeed and leave one whole file', async () => {
    const { env } = emptyEnvironment();
    const fake = fakeInstaller('x'.repeat(100_000));
    const options = { say: silent, env, installers: [fake] };
    const [first, second] = await Promise.all([
      resolveProgram(temporalCli, options),
      resolveProgram(temporalCli, options),
    ]);
    expect(fake.runs()).toBe(2);
    expect(first).toBe(second);
    expect(readFileSync(first, 'utf8')).toHaveLength(100_000);
    expect(readdirSync(path.dirname(first))).toEqual(['temporal']);
  });

  test('when everything fails, one error lists what was tried and what to do', async () => {
    const { env } = emptyEnvironment();
    await expect(resolveProgram(temporalCli, { say: silent, env, installers: [broken] })).rejects.toThrow(
      /Cannot find temporal:\n {2}- no temporal on PATH\n {2}- none in the cache .*\n {2}- the moon: out of reach\nInstall the Temporal CLI .* or set TEMPORAL_CLI_PATH to its path\./,
    );
  });
});
