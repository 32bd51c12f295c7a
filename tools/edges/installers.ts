import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../local/run-command.ts';
import { buildProgram } from '../interop/build.ts';
import type { EdgeTool } from './catalogue.ts';

/** Building a large program from source takes minutes on two cores. */
const TIME_LIMIT_MS = 20 * 60_000;

/**
 * Downloads the package $1 of the release $2 (empty = that of the system) and unpacks it here. The lists of the system may be missing or
 * old, and have no other release: then it uses lists of its own, which need no right on the system. Another release is where that of
 * the system is.
 */
const UNPACK = `set -e
own="-o Dir::State::Lists=$PWD/lists -o Dir::Cache=$PWD/cache"
if [ -n "$2" ]; then
  mkdir -p sources
  system=$(. /etc/os-release && echo "$VERSION_CODENAME")
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    [ ! -f "$file" ] || sed "s/$system/$2/g" "$file" > "sources/$(basename "$file")"
  done
  [ ! -f sources/sources.list ] || mv sources/sources.list sources/debian.list
  own="$own -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=$PWD/sources"
fi
[ -z "$2" ] && apt-get download "$1" || {
  mkdir -p lists/partial
  [ -f lists/done ] || { apt-get $own update && touch lists/done; }
  apt-get $own download "$1"
}
dpkg-deb -x "$1"_*.deb .`;

/** Does the same with what the package $1 depends on and the system lacks. Nothing is installed, so it needs no lock of the system. */
const UNPACK_MISSING = `set -e
own="-o Dir::Cache=$PWD/missing -o Debug::NoLocking=1 -y --no-install-recommends --download-only"
mkdir -p missing/archives/partial
apt-get $own install "$1" || apt-get $own -o Dir::State::Lists=$PWD/lists install "$1"
for package in missing/archives/*.deb; do [ ! -e "$package" ] || dpkg-deb -x "$package" .; done
rm -r missing`;

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
    case 'npm':
      return fromNpm(name, source, folder);
    case 'cargo':
      return buildProgram(folder);
  }
}

/** Unpacks packages and does not install them, so this needs no right on the system. */
async function fromDebian(source: Source<'debian'>, folder: string): Promise<string> {
  const { libraries = [], release = '' } = source;
  const root = path.join(folder, `debian-${release === '' ? '' : `${release}-`}${source.package}`);
  const program = path.join(root, source.path);
  // A program that needs libraries is started by a script that shows where they are.
  const started = libraries.length === 0 ? program : path.join(root, 'start');
  if (existsSync(started)) return started;
  mkdirSync(root, { recursive: true });
  for (const name of [source.package, ...libraries]) {
    await runCommand('sh', ['-c', UNPACK, 'sh', name, release], { cwd: root });
  }
  if (source.withDependencies === true) {
    await runCommand('sh', ['-c', UNPACK_MISSING, 'sh', source.package], { cwd: root, timeoutMs: TIME_LIMIT_MS });
  }
  if (started !== program) writeFileSync(started, startScript(root, program, release !== ''), { mode: 0o755 });
  return started;
}

/** @param isForeign the program is of another release: its C library only works with the loader of that release */
function startScript(root: string, program: string, isForeign: boolean): string {
  const libraries = `libraries=$(echo "${root}"/usr/lib/*-linux-gnu)`;
  // Some libraries have private ones in a folder of their own, and look for them where the package would be installed.
  const folders = `folders=$(find "$libraries" -maxdepth 1 -type d | paste -sd:)`;
  const start = isForeign
    ? `exec "$libraries"/ld-linux-*.so.* --library-path "$folders" "${program}" "$@"`
    : `LD_LIBRARY_PATH="$folders" exec "${program}" "$@"`;
  return `#!/bin/sh\n${libraries}\n${folders}\n${start}\n`;
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

async function fromPip(name: string, { requirement, others = [] }: Source<'pip'>, folder: string): Promise<string> {
  const venv = path.join(folder, `pip-${requirement.replace(/\[\w+\]/, '').replace('==', '-')}`);
  const program = path.join(venv, 'bin', name);
  if (existsSync(program)) return program;
  await runCommand('python3', ['-m', 'venv', venv]);
  // The program last, which says that all is there.
  for (const each of [...others, requirement]) {
    await runCommand(path.join(venv, 'bin', 'pip'), ['install', '--quiet', each], { timeoutMs: TIME_LIMIT_MS });
  }
  return program;
}

/** No dependency of ours, which everybody would have to install: some of these want a newer Node than others need. */
async function fromNpm(name: string, { requirement }: Source<'npm'>, folder: string): Promise<string> {
  const root = path.join(folder, `npm-${requirement.replace('@', '-')}`);
  const program = path.join(root, 'node_modules', '.bin', name);
  if (existsSync(program)) return program;
  mkdirSync(root, { recursive: true });
  const args = ['install', '--prefix', root, '--no-audit', '--no-fund', '--ignore-scripts', requirement];
  await runCommand('npm', args, { timeoutMs: TIME_LIMIT_MS });
  return program;
}
