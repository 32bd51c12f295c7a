import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { blocksOf, linksOf, read } from '../../harness/markdown.ts';

const CLIENT = path.join(packageRoot(), 'client');
const README = 'client/README.md';

/** Errors of files in client/, given by path, with the types of a browser and without those of Node. */
function errorsOf(sources: ReadonlyMap<string, string>): string[] {
  const config = ts.readConfigFile(path.join(packageRoot(), 'tsconfig.json'), (file) => ts.sys.readFile(file));
  const parsed = ts.parseJsonConfigFileContent({ ...(config.config as object), include: [] }, ts.sys, packageRoot());
  const { tsBuildInfoFile: _noFile, ...options } = parsed.options;
  const browser: ts.CompilerOptions = {
    ...options,
    ...{ types: [], lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'] },
    ...{ noEmit: true, incremental: false },
  };
  const base = ts.createCompilerHost(browser);
  const host: ts.CompilerHost = {
    ...base,
    readFile: (file) => sources.get(path.normalize(file)) ?? base.readFile(file),
    fileExists: (file) => sources.has(path.normalize(file)) || base.fileExists(file),
    getSourceFile: (file, language) => {
      const source = sources.get(path.normalize(file));
      return source === undefined ? base.getSourceFile(file, language) : ts.createSourceFile(file, source, language);
    },
  };
  const program = ts.createProgram([...sources.keys(), path.join(CLIENT, 'index.ts')], browser, host);
  return ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n');
    return `${file === undefined ? '' : path.relative(packageRoot(), file.fileName)}: ${text}`;
  });
}

test('the examples of the README and of the how-to of signals, and the whole library compile with the types of a browser', () => {
  const pages = [README, 'docs/how-to/signals.md', 'docs/how-to/put-parley-behind-your-app.md'];
  const examples = pages
    .flatMap((page) => blocksOf(read(page)).filter(({ language }) => language === 'ts'))
    // The program for Node is a file, which test/integration/client/examples.test.ts runs.
    .filter(({ text }) => !text.includes("'node:readline'"));
  expect(examples).toHaveLength(7);
  const sources = new Map(examples.map(({ text }, i) => [path.join(CLIENT, `readme-example-${i + 1}.ts`), text]));
  // A control: this mistake must be the only one, and a global of Node must be a mistake.
  sources.set(path.join(CLIENT, 'readme-control.ts'), 'export const wrong = Buffer.from("");');
  expect(errorsOf(sources)).toEqual([expect.stringMatching(/^client\/readme-control\.ts: Cannot find name 'Buffer'/)]);
});

test('the program in the README is the example for Node', () => {
  const [first] = blocksOf(read(README)).filter(({ language }) => language === 'ts');
  expect(first?.text.trimEnd()).toBe(read('client/examples/node.ts').trimEnd());
});

test('the README names every folder of the library, and each of its links leads to a file', () => {
  const page = read(README);
  const folders = readdirSync(CLIENT, { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && entry.name !== 'dist',
  );
  expect(folders.map(({ name }) => name).filter((name) => !page.includes(`${name}/`))).toEqual([]);
  const targets = linksOf(page).filter((target) => !target.startsWith('https:'));
  expect(targets.filter((target) => !existsSync(path.join(CLIENT, target)))).toEqual([]);
});
