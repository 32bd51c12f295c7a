import path from 'node:path';
import vm from 'node:vm';
import type { OutputChunk } from 'rolldown';
import { rolldown } from 'rolldown';
import { beforeAll, describe, expect, test } from 'vitest';
import type * as ClientLibrary from '../../harness/whole-client.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { clientManifest } from '../../harness/client-package.ts';
import { fakeFetch } from '../../harness/fake-fetch.ts';
import { FakeService } from '../../harness/fake-service.ts';

const ROOT = packageRoot();

/** Globals of a browser that the library may use; no others exist in the context. */
const WEB_GLOBALS = [
  ...['AbortController', 'AbortSignal', 'DOMException', 'Headers', 'ReadableStream', 'Request', 'Response', 'URL'],
  ...['TextDecoder', 'TextEncoder', 'atob', 'btoa', 'crypto', 'structuredClone', 'queueMicrotask'],
  // The types that these globals take and give: those of a fresh context would be others.
  ...['ArrayBuffer', 'Uint8Array', 'DataView'],
] as const;

/**
 * Imports that code of the dependencies makes only in cases that do not occur: `crypto` if there is no `globalThis.crypto`
 * (`@hpke/common`), the others for cipher suites that the library does not use. `whole-client.js` is the bundle itself. The context
 * below cannot import anything.
 */
const NEVER_LOADED = [
  ...['crypto', '@hpke/chacha20poly1305', '@hpke/dhkem-x448', '@hpke/ml-kem', '@hpke/hybridkem-x-wing'],
  ...['@noble/post-quantum/ml-dsa.js', 'whole-client.js'],
];

let warnings: string[];
let bundle: OutputChunk;

beforeAll(async () => {
  warnings = [];
  const build = await rolldown({
    input: path.join(ROOT, 'test/harness/whole-client.ts'),
    platform: 'browser',
    onLog: (level, { message }) => {
      if (level === 'warn') warnings.push(message);
    },
  });
  const { output } = await build.generate({ format: 'iife', name: 'parley', codeSplitting: false });
  await build.close();
  expect(output).toHaveLength(1);
  bundle = output[0];
});

/** The library in a context that has the globals of a browser and none of Node. */
function loadBundle(service: FakeService): typeof ClientLibrary {
  const globals = Object.fromEntries(WEB_GLOBALS.map((name) => [name, globalThis[name] as unknown]));
  const context = vm.createContext({
    ...globals,
    fetch: fakeFetch(service),
    // Timers of a browser are numbers.
    setTimeout: (task: () => void, ms: number) => Number(setTimeout(task, ms)),
    clearTimeout,
  });
  return vm.runInContext(`${bundle.code}; parley`, context) as typeof ClientLibrary;
}

describe('the client library in a browser', () => {
  test('is one file without any module of Node', () => {
    expect(warnings).toEqual([]);
    expect(bundle.imports).toEqual([]);
    expect(bundle.dynamicImports.filter((name) => !NEVER_LOADED.includes(name))).toEqual([]);
    expect(bundle.code).not.toMatch(/["']node:/);
  });

  test('asks for nothing that only Node has, and imports only what its package brings along', async () => {
    const build = await rolldown({
      input: path.join(ROOT, 'test/harness/whole-client.ts'),
      external: /^[^./]/,
      cwd: ROOT,
    });
    const { output } = await build.generate({ format: 'esm', codeSplitting: false });
    await build.close();
    expect(output[0].code).not.toMatch(/\b(?:Buffer|process|global)\.\w|\brequire\(|\bunref\b/);
    const packages = output[0].imports.map((name) => /^(?:@[^/]+\/)?[^/]+/.exec(name)?.[0]);
    const { dependencies, peerDependencies } = clientManifest();
    const known = Object.keys({ ...dependencies, ...peerDependencies });
    expect(known).toEqual(expect.arrayContaining([...new Set(packages)]));
  });

  test('two devices make a group, and each reads the message of the other', async () => {
    const service = new FakeService();
    const { createHttp, MlsDevice, ParleyClient, tsMls } = loadBundle(service);
    const open = (user: string): Promise<ClientLibrary.MlsDevice> => {
      const http = createHttp({ baseUrl: 'https://parley.example', token: () => `${user}/phone` });
      return MlsDevice.open({ mls: tsMls, api: new ParleyClient(http), user, device: 'phone', keyPackages: 1 });
    };
    const [alice, bob] = [await open('alice'), await open('bob')];
    const group = await alice.createGroup();
    await alice.invite(group.id, 'bob');
    const [joined] = await bob.joinGroups();
    await joined?.send('hello alice');
    await group.receive();
    await group.send('hello bob');
    await bob.sync();
    const texts = group.history.map(({ text }) => text);
    expect(texts).toEqual(['hello alice']);
    expect(joined?.history.map(({ text }) => text)).toEqual(['hello alice', 'hello bob']);
    expect(joined?.epochAuthenticator).toBe(group.epochAuthenticator);
    expect(service.acks.get('bob/phone')).toEqual({ [group.id]: service.log(group.id).length });
  });

  test('follows a conversation, and throws problems of its own class', async () => {
    const service = new FakeService();
    const { createHttp, epochConflict, fromBase64, MlsDevice, ParleyClient, ProblemError, toBase64, tsMls } =
      loadBundle(service);
    const api = new ParleyClient(createHttp({ baseUrl: 'https://parley.example', token: () => 'alice/phone' }));
    const alice = await MlsDevice.open({ mls: tsMls, api, user: 'alice', device: 'phone', keyPackages: 0 });
    const { id } = await alice.createGroup();
    await alice.group(id).update();
    await alice.group(id).send('one');
    const kinds: string[] = [];
    for await (const event of api.follow(id)) {
      if (event.type === 'entry') kinds.push(event.entry.kind);
      if (kinds.length === 2) break;
    }
    expect(kinds).toEqual(['commit', 'application']);
    const { entries } = await api.log(id);
    // Another one of the same epoch: the same bytes again would count as a retry.
    const bytes = fromBase64(entries[0]?.ciphertext ?? '');
    const other = bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte));
    const refused = await api.commit(id, { commit: toBase64(other) }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ProblemError);
    expect(epochConflict(refused)).toMatchObject({ currentEpoch: 1, submittedEpoch: 0, winner: { seq: 1 } });
  });
});
