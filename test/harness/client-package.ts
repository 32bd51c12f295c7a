import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../local/run-command.ts';
import { packageRoot } from '../../process/package-root.ts';

/** What is used of the package.json of the client library. */
export interface ClientManifest {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

export function clientManifest(): ClientManifest {
  return JSON.parse(readFileSync(path.join(packageRoot(), 'client', 'package.json'), 'utf8')) as ClientManifest;
}

const compiler = path.join(packageRoot(), 'node_modules', 'typescript', 'bin', 'tsc');

/**
 * Packs the client library as `npm pack` does, from a copy in `folder`: several tests may do so at the same time.
 * @returns the archive
 */
export async function packClient(folder: string): Promise<string> {
  const source = path.join(packageRoot(), 'client');
  const copy = path.join(folder, 'packed');
  mkdirSync(copy, { recursive: true });
  for (const file of ['package.json', 'README.md', 'LICENSE']) cpSync(path.join(source, file), path.join(copy, file));
  await runCommand(process.execPath, [compiler, '-p', source, '--outDir', path.join(copy, 'dist')]);
  return pack(copy, folder, ['--ignore-scripts']);
}

/** `npm pack`. @returns the archive */
export async function pack(source: string, destination: string, options: readonly string[] = []): Promise<string> {
  const args = ['pack', '--json', ...options, '--pack-destination', destination];
  const output = await runCommand('npm', args, { cwd: source });
  const [packed] = JSON.parse(output.slice(output.indexOf('['))) as { filename: string }[];
  if (packed === undefined) throw new Error('npm pack wrote no archive');
  return path.join(destination, packed.filename);
}

/**
 * A fresh project with the packed library, as an app has it, made without a registry: beside the library there is what npm installs with
 * it, what the project names, and nothing else.
 * @param archive of {@link packClient}
 * @param packages that the project names. npm installs no optional peer of the library by itself. @default all of these
 */
export async function newProject(
  folder: string,
  archive: string,
  packages: readonly string[] = Object.keys(clientManifest().peerDependencies),
): Promise<void> {
  const { name, dependencies } = clientManifest();
  writeFileSync(path.join(folder, 'package.json'), '{"private": true, "type": "module"}\n');
  const library = path.join(folder, 'node_modules', name);
  mkdirSync(library, { recursive: true });
  await runCommand('tar', ['-xzf', archive, '--strip-components=1', '-C', library]);
  for (const one of [...Object.keys(dependencies), ...packages]) {
    const link = path.join(folder, 'node_modules', one);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(path.join(packageRoot(), 'node_modules', one), link);
  }
}

/** Compiles programs of a project with the strictest checks, the types of the library too. @throws Error what is wrong */
export async function compileProject(
  folder: string,
  files: readonly string[],
  options: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const compilerOptions = {
    ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false },
    ...{ target: 'es2023', lib: ['es2023', 'dom', 'dom.iterable'], module: 'nodenext', types: [], outDir: 'dist' },
    ...options,
  };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
  await runCommand(process.execPath, [compiler, '-p', folder], { cwd: folder });
}
