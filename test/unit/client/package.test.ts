import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { rolldown } from 'rolldown';
import { beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from '../../../local/run-command.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { clientManifest, compileProject, newProject, pack, packClient } from '../../harness/client-package.ts';
import { testFolder, useFolder } from '../../harness/folder.ts';

const root = packageRoot();
const manifest = clientManifest();
const folder = useFolder();
let archive: string;

beforeAll(async () => {
  archive = await packClient(folder);
});

const filesOf = async (packed: string): Promise<string[]> =>
  (await runCommand('tar', ['-tzf', packed])).split('\n').filter((file) => file !== '' && !file.endsWith('/'));

describe('the package of the client library', () => {
  test('has what its package.json names, a README and a licence, and neither sources nor tests', async () => {
    const files = await filesOf(archive);
    const entries = Object.values(manifest.exports).flatMap((one) =>
      typeof one === 'string' ? [one] : Object.values(one),
    );
    const wanted = [...entries.map((file) => path.join('package', file)), 'package/README.md', 'package/LICENSE'];
    expect(files).toEqual(expect.arrayContaining(wanted));
    const kinds = /^package\/(?:package\.json|README\.md|LICENSE|dist\/[\w/-]+(?:\.js|\.d\.ts))$/;
    expect(files.filter((file) => !kinds.test(file) || /test|example/.test(file))).toEqual([]);
  });

  test('`npm run client-pack` packs the same', async () => {
    const place = testFolder();
    expect(await filesOf(await pack(path.join(root, 'client'), place))).toEqual(await filesOf(archive));
    const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Scripts;
    expect(scripts['client-pack']).toMatch(/ npm pack --workspace client --pack-destination dist$/);
  });

  test('has the version and the licence of the service, and the versions of packages that the tests of this repository use', () => {
    const { version, license, engines } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Whole;
    expect(manifest).toMatchObject({ version, license, engines });
    expect(readFileSync(path.join(root, 'client', 'LICENSE'))).toEqual(readFileSync(path.join(root, 'LICENSE')));
    for (const [name, wanted] of Object.entries({ ...manifest.dependencies, ...manifest.peerDependencies })) {
      const installed = readFileSync(path.join(root, 'node_modules', name, 'package.json'), 'utf8');
      expect(wanted.replace('^', ''), name).toBe((JSON.parse(installed) as Whole).version);
    }
  });

  test.each(['nodenext', 'bundler'])(
    'a fresh project compiles with it, as strict as it gets, in mode %s',
    async (mode) => {
      const project = testFolder();
      await newProject(project, archive);
      writeFileSync(path.join(project, 'app.ts'), APP);
      const module = mode === 'bundler' ? 'esnext' : mode;
      await compileProject(project, ['app.ts'], { module, moduleResolution: mode });
    },
  );

  test('is at most 60 KB, minified and compressed, without the MLS library', async () => {
    const size = await sizeOf(path.join(root, 'client/index.ts'));
    process.stdout.write(
      `client library: ${(size / 1000).toFixed(1)} KB minified and compressed, without the MLS library\n`,
    );
    expect(size).toBeLessThanOrEqual(60_000);
    // The number is of the whole library, and not of a bundle from which everything was dropped.
    expect(size).toBeGreaterThan(10_000);
  });

  test('its main entry needs no MLS library and no file, in a browser', async () => {
    const bundled = await bundle(path.join(root, 'client/index.ts'));
    expect(bundled.imports).toEqual([]);
    expect(bundled.dynamicImports).toEqual([]);
    expect(bundled.moduleIds.filter((id) => /node_modules\/(?:ts-mls|@hpke|classic-level)\//.test(id))).toEqual([]);
  });
});

interface Scripts {
  readonly scripts: Readonly<Record<string, string>>;
}

interface Whole {
  readonly version: string;
  readonly license: string;
  readonly engines: object;
}

/** It uses all entries. No service is there. */
const APP = `
import { openChat, ProblemError } from '@parley/client';
import type { Chat, ChatState } from '@parley/client';
import { fileStore } from '@parley/client/file-store';
import { tsMls } from '@parley/client/ts-mls';

declare const console: { log(line: string): void };
const what: string = 'a chat';
const chat: Chat = await openChat({
  mls: tsMls,
  url: 'http://127.0.0.1:9',
  user: 'alice',
  token: () => { throw new ProblemError({ status: 401, code: 'unauthenticated' } as never, new Response(null, { status: 401 })); },
  store: await fileStore('device'),
});
const state: ChatState = chat.state;
if (state.conversations.length > 0) throw new Error('where does this come from?');
console.log(\`\${what} of \${chat.user} on \${chat.device}\`);
await chat.close();
`;

async function bundle(
  input: string,
): Promise<{ code: string; imports: string[]; dynamicImports: string[]; moduleIds: string[] }> {
  const build = await rolldown({ input, platform: 'browser', cwd: root });
  const { output } = await build.generate({ format: 'esm', minify: true, codeSplitting: false });
  await build.close();
  return output[0];
}

/** Bytes of everything that an app loads. */
async function sizeOf(input: string): Promise<number> {
  return gzipSync((await bundle(input)).code, { level: 9 }).length;
}
