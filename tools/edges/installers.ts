import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../local/run-command.ts';
import type { EdgeTool } from './catalogue.ts';

/** Building a large program from source takes minutes on two cores. */
const TIME_LIMIT_MS = 20 * 60_000;

type Source<K> = Extract<EdgeTool['source'], { kind: K }>;

/**
 * Installs a tool into `folder`, unless it is there from an earlier run. Nothing outside the folder changes.
 * @returns the path of the program
 * @throws Error that says what is missing on this machine
 */
export async function installTool({ name, source }: EdgeTool, folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  switch (source.kind) {
    case 'debian':
      return fromDebian(source, folder);
    case 'go':
      return fromGo(name, source, folder);
    case 'pip':
      return fromPip(name, source, folder);
  }
}

/** Unpacks a package and does not install it, so this needs no right on the system. */
async function fromDebian({ package: name, path: inside }: Source<'debian'>, folder: string): Promise<string> {
  const root = path.join(folder, `debian-${name}`);
  const program = path.join(root, inside);
  if (existsSync(program)) return program;
  mkdirSync(root, { recursive: true });
  await runCommand('sh', ['-c', 'apt-get download "$1" && dpkg-deb -x "$1"_*.deb .', 'sh', name], { cwd: root });
  return program;
}

/** Builds in a module of its own: `go install` refuses modules that replace dependencies. */
async function fromGo(name: string, source: Source<'go'>, folder: string): Promise<string> {
  const root = path.join(folder, `go-${name}-${source.version}`);
  const program = path.join(root, name);
  if (existsSync(program)) return program;
  mkdirSync(root, { recursive: true });
  const go = (...args: string[]): Promise<string> =>
    runCommand('go', args, { cwd: root, timeoutMs: TIME_LIMIT_MS, env: { ...process.env, GOFLAGS: '-mod=mod' } });
  if (!existsSync(path.join(root, 'go.mod'))) await go('mod', 'init', 'parley.test/edges');
  await go('get', `${source.package}@${source.version}`);
  await go('build', '-o', program, source.package);
  return program;
}

async function fromPip(name: string, { requirement }: Source<'pip'>, folder: string): Promise<string> {
  const venv = path.join(folder, `pip-${requirement.replace('==', '-')}`);
  const program = path.join(venv, 'bin', name);
  if (existsSync(program)) return program;
  await runCommand('python3', ['-m', 'venv', venv]);
  await runCommand(path.join(venv, 'bin', 'pip'), ['install', '--quiet', requirement], { timeoutMs: TIME_LIMIT_MS });
  return program;
}
