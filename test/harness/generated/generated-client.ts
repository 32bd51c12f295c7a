import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../../process/package-root.ts';
import { runCommand } from '../../../local/run-command.ts';
import type { TutorialInput, TutorialResult } from './tutorial-io.ts';

const HERE = 'test/harness/generated';
const PROGRAMS = 'test/fixtures/generated';

/** As strict as compilers are. Code that others generate must satisfy them too. */
const COMPILER_OPTIONS = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  target: 'es2023',
  lib: ['es2023', 'dom', 'dom.iterable', 'dom.asynciterable'],
  module: 'nodenext',
  moduleResolution: 'nodenext',
  allowImportingTsExtensions: true,
  rewriteRelativeImportExtensions: true,
  verbatimModuleSyntax: true,
  types: ['node'],
  outDir: 'compiled',
  rootDir: '.',
};

/** Copies a program that does the tutorial into a folder, where its client is generated. */
export function layProgram(name: string, folder: string): void {
  const root = packageRoot();
  cpSync(path.join(root, PROGRAMS, name), folder, { recursive: true });
  copyFileSync(path.join(root, HERE, 'tutorial-io.ts'), path.join(folder, 'tutorial-io.ts'));
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  writeFileSync(
    path.join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, include: ['*.ts'] }),
  );
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
}

/** Writes the contract as a service serves it, for a generator that reads a file. @returns the file */
export async function saveContract(url: string, folder: string): Promise<string> {
  const file = path.join(folder, 'openapi.json');
  writeFileSync(file, await (await fetch(new URL('/openapi.json', url))).text());
  return file;
}

/** Compiles program and client. @throws Error with the complaints of the compiler */
export async function compile(folder: string): Promise<string> {
  const compiler = path.join(packageRoot(), 'node_modules', 'typescript', 'bin', 'tsc');
  await runCommand(process.execPath, [compiler, '-p', folder], { cwd: folder });
  return path.join(folder, 'compiled', 'tutorial.js');
}

/** Runs a program. @throws Error with what it says, if it fails */
export async function runProgram(
  command: string,
  args: readonly string[],
  input: TutorialInput,
  folder: string,
): Promise<TutorialResult> {
  const child = spawn(command, args, { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] });
  let [said, complaints] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (complaints += chunk.toString()));
  child.stdin.end(JSON.stringify(input));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the program failed: ${complaints}`);
  return JSON.parse(said) as TutorialResult;
}
