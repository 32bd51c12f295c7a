// Whether `dist` is what the sources say. Plain JavaScript without dependencies, as setup.mjs, which uses it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Files beside the sources that change what a build makes. */
const SETTINGS = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];

/**
 * @typedef {object} Sources
 * @property {string} hash of all their bytes, and of the commit
 * @property {string[]} files paths from the package's folder, of all sources that are compiled
 */

/**
 * Reads all sources, which takes 0.1 s; the compiler needs 5 s to see that nothing has changed. Bytes count, not times: times say
 * nothing after a copy, and after a switch to another branch and back all is as before.
 * @param {string} root the package's folder
 * @returns {Sources}
 */
export function readSources(root) {
  const { include } = JSON.parse(readFileSync(path.join(root, 'tsconfig.json'), 'utf8'));
  const files = include.flatMap((entry) => sourcesIn(root, entry)).sort();
  const hash = createHash('sha256').update(commitOf(root));
  for (const file of [...SETTINGS, ...files, ...pageFilesIn(root)]) {
    hash.update(`\0${file}\0`).update(readFileSync(path.join(root, file)));
  }
  return { hash: hash.digest('hex'), files };
}

/**
 * @param {string} root
 * @param {Sources} sources
 * @returns {boolean} whether `dist` was built from these sources, and is still whole
 */
export function isBuilt(root, { hash, files }) {
  const built = readStamp(root);
  return (
    built?.hash === hash &&
    built.compiledAt === compiledAt(root) &&
    (pageFilesIn(root).length === 0 || existsSync(path.join(root, 'dist', 'web', 'index.html'))) &&
    files.every((file) => existsSync(outputOf(root, file)))
  );
}

/**
 * Removes what would mislead a build: the output of sources that are gone, and, where output is missing, the compiler's note that
 * it was written.
 * @param {string} root
 * @param {Sources} sources
 */
export function prepareBuild(root, { files }) {
  const before = readStamp(root)?.files ?? [];
  rmSync(stampFile(root), { force: true });
  for (const gone of before.filter((file) => !files.includes(file))) {
    for (const suffix of ['', '.map']) rmSync(`${outputOf(root, gone)}${suffix}`, { force: true });
  }
  const isWhole = before.every((file) => !files.includes(file) || existsSync(outputOf(root, file)));
  if (!isWhole) rmSync(compilerNotes(root), { force: true });
}

/**
 * Notes what `dist` was built from.
 * @param {string} root
 * @param {Sources} sources as they were before the build: a change during the build is built the next time
 */
export function writeStamp(root, sources) {
  mkdirSync(path.join(root, 'dist'), { recursive: true });
  writeFileSync(stampFile(root), JSON.stringify({ ...sources, compiledAt: compiledAt(root) }));
}

/** When the compiler ran last. It may have run by hand since, on other sources. */
function compiledAt(root) {
  return statSync(compilerNotes(root), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

const compilerNotes = (root) => path.join(root, 'dist', 'build.tsbuildinfo');

const stampFile = (root) => path.join(root, 'dist', 'sources.json');

const outputOf = (root, file) => path.join(root, 'dist', file.replace(/\.ts$/, '.js'));

function readStamp(root) {
  try {
    return JSON.parse(readFileSync(stampFile(root), 'utf8'));
  } catch {
    return undefined;
  }
}

/** What the page of the web app is built from, beside the client library. The compiler makes nothing of it. */
function pageFilesIn(root) {
  const folder = path.join(root, 'web');
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** Tests are not compiled: they run as they are. */
function sourcesIn(root, entry) {
  const isSource = (file) => file.endsWith('.ts') && !file.endsWith('.d.ts') && !file.endsWith('.test.ts');
  if (entry.endsWith('.ts')) return [];
  return readdirSync(path.join(root, entry), { recursive: true, encoding: 'utf8' })
    .filter(isSource)
    .map((file) => path.join(entry, file));
}

/** The build notes its commit (ops/write-build.ts). @returns what that note would say; empty without git */
function commitOf(root) {
  const args = ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'];
  const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout : '';
}
