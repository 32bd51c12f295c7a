import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../local/run-command.ts';
import { packageRoot } from '../../process/package-root.ts';

const NAME = '@parley/client';
/** What the library imports. Everything else is in the browser and in Node. */
export const DEPENDENCIES: readonly string[] = [
  '@noble/curves',
  '@noble/hashes',
  'async-mutex',
  'eventsource-parser',
  'ts-mls',
];
/** An import of a file of the library, in a declaration: TypeScript leaves the endings there as they were. */
const TS_IMPORT = /((?:from|import\() ?'\.{1,2}\/[^']+)\.ts'/g;

interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly engines: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

/**
 * Writes the package of the client library into `dist/client-package`: JavaScript for browsers and Node, types, and a
 * package.json. It is compiled without the types of Node, so it uses nothing that only Node has.
 * @returns the folder
 */
export async function writeClientPackage(): Promise<string> {
  const root = packageRoot();
  const folder = path.join(root, 'dist', 'client-package');
  rmSync(folder, { recursive: true, force: true });
  const compiler = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  await runCommand(process.execPath, [compiler, '-p', path.join(root, 'client')]);
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.d.ts')) rewrite(path.join(folder, file), (text) => text.replaceAll(TS_IMPORT, "$1.js'"));
  }
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Manifest;
  writeFileSync(path.join(folder, 'package.json'), `${JSON.stringify(packageJson(manifest), null, 2)}\n`);
  cpSync(path.join(root, 'LICENSE'), path.join(folder, 'LICENSE'));
  cpSync(path.join(root, 'client', 'README.md'), path.join(folder, 'README.md'));
  return folder;
}

/**
 * Packs the library as `npm pack` does.
 * @param destination folder for the archive
 * @returns the archive, for `npm install`
 */
export async function packClient(destination: string): Promise<string> {
  const folder = await writeClientPackage();
  const output = await runCommand('npm', ['pack', '--json', '--pack-destination', destination], { cwd: folder });
  const [packed] = JSON.parse(output.slice(output.indexOf('['))) as { filename: string }[];
  if (packed === undefined) throw new Error('npm pack wrote no archive');
  return path.join(destination, packed.filename);
}

function packageJson({ version, license, engines, dependencies }: Manifest): object {
  const all = new Map(Object.entries(dependencies));
  return {
    name: NAME,
    version,
    description: 'Client library of Parley, a delivery service for MLS group chat',
    license,
    type: 'module',
    engines,
    sideEffects: false,
    exports: {
      '.': { types: './index.d.ts', default: './index.js' },
      './file-store': { types: './file-store/index.d.ts', default: './file-store/index.js' },
      './ts-mls': { types: './ts-mls/index.d.ts', default: './ts-mls/index.js' },
    },
    dependencies: Object.fromEntries(DEPENDENCIES.map((name) => [name, all.get(name)])),
  };
}

function rewrite(file: string, change: (text: string) => string): void {
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}
