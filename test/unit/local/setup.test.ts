import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { testFolder, writeExecutable } from '../../harness/folder.ts';

// `node local/setup.mjs --build` in a small clone, whose build copies its sources and counts.

const BUILD = `#!/bin/sh
echo built >> builds.txt
mkdir -p dist/a
for file in a/*.ts; do cp "$file" "dist/\${file%.ts}.js"; done
date +%s%N > dist/build.tsbuildinfo
`;

let root: string;

function write(file: string, text: string): void {
  mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
  writeFileSync(path.join(root, file), text);
}

/** @returns how many builds there were until now */
function setUp(): number {
  const env = { PATH: [path.join(root, 'bin'), process.env.PATH].join(path.delimiter) };
  const { status, stderr } = spawnSync(process.execPath, ['local/setup.mjs', '--build'], {
    cwd: root,
    env,
    encoding: 'utf8',
  });
  expect([status, stderr]).toEqual([0, expect.stringMatching(/^(?:Compiling\. This takes some seconds\.\n)?$/)]);
  return readFileSync(path.join(root, 'builds.txt'), 'utf8').trim().split('\n').length;
}

function git(...args: string[]): void {
  const who = ['-c', 'user.name=test', '-c', 'user.email=test@example.org'];
  const { status, stderr } = spawnSync('git', [...who, ...args], { cwd: root, encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, expect.any(String)]);
}

beforeEach(() => {
  root = testFolder();
  for (const file of ['setup.mjs', 'build-stamp.mjs']) {
    mkdirSync(path.join(root, 'local'), { recursive: true });
    copyFileSync(path.join(packageRoot(), 'local', file), path.join(root, 'local', file));
  }
  for (const file of ['package.json', 'package-lock.json', 'tsconfig.build.json']) write(file, '{}');
  write('tsconfig.json', '{"include": ["a"]}');
  write('node_modules/.parley-lock', createHash('sha256').update('{}').digest('hex'));
  write('a/one.ts', 'one');
  write('a/two.ts', 'two');
  write('.gitignore', 'dist\nbuilds.txt\nnode_modules\nbin\n');
  mkdirSync(path.join(root, 'bin'));
  writeExecutable(path.join(root, 'bin', 'npm'), BUILD);
});

test('what has not changed is not built again, and every change is', () => {
  expect([setUp(), setUp(), setUp()]).toEqual([1, 1, 1]);
  write('a/one.ts', 'uno');
  expect([setUp(), setUp()]).toEqual([2, 2]);
  write('a/three.ts', 'three');
  expect([setUp(), setUp()]).toEqual([3, 3]);
  renameSync(path.join(root, 'a/three.ts'), path.join(root, 'a/four.ts'));
  expect([setUp(), setUp()]).toEqual([4, 4]);
  write('package.json', '{"version": "2"}');
  expect([setUp(), setUp()]).toEqual([5, 5]);
  write('a/one.test.ts', 'tests are not compiled');
  expect(setUp()).toBe(5);
});

test('a source that is gone leaves no output, and output that is gone is made again', () => {
  setUp();
  rmSync(path.join(root, 'a/two.ts'));
  expect(setUp()).toBe(2);
  expect(existsSync(path.join(root, 'dist/a/two.js'))).toBe(false);
  rmSync(path.join(root, 'dist/a/one.js'));
  expect(setUp()).toBe(3);
  expect(existsSync(path.join(root, 'dist/a/one.js'))).toBe(true);
});

test('a compiler that ran by hand on other sources is noticed', () => {
  setUp();
  write('a/one.ts', 'other');
  spawnSync('npm', { cwd: root, env: { PATH: [path.join(root, 'bin'), process.env.PATH].join(path.delimiter) } });
  write('a/one.ts', 'one');
  expect(setUp()).toBe(3);
  expect(readFileSync(path.join(root, 'dist/a/one.js'), 'utf8')).toBe('one');
});

test('a switch to another branch, and a commit, are built', () => {
  git('init', '-q');
  git('add', '-A');
  git('commit', '-qm', 'one');
  git('branch', 'other');
  setUp();
  write('a/one.ts', 'changed');
  expect(setUp()).toBe(2);
  git('commit', '-qam', 'two');
  // The build notes the commit.
  expect([setUp(), setUp()]).toEqual([3, 3]);
  git('checkout', '-q', 'other');
  expect([setUp(), setUp()]).toEqual([4, 4]);
  expect(readFileSync(path.join(root, 'dist/a/one.js'), 'utf8')).toBe('one');
});

test('a build that fails is tried again', () => {
  writeExecutable(path.join(root, 'bin', 'npm'), '#!/bin/sh\nexit 2\n');
  const run = (): number | null =>
    spawnSync(process.execPath, ['local/setup.mjs', '--build'], { cwd: root, env: { PATH: path.join(root, 'bin') } })
      .status;
  expect([run(), run()]).toEqual([2, 2]);
});
