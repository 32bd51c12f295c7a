import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fileStore } from '../../../../client/file-store/index.ts';
import type { DeviceStore } from '../../../../client/index.ts';
import { memoryStore } from '../../../../client/index.ts';

function newFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-store-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const STORES: readonly (readonly [string, () => Promise<DeviceStore>])[] = [
  ['in memory', () => Promise.resolve(memoryStore())],
  ['in a folder', () => fileStore(newFolder())],
];

describe.each(STORES)('a store %s', (_where, open) => {
  test('makes all changes of a write, the later of two changes of one key counts, and it gives keys by their beginning', async () => {
    const store = await open();
    await store.write([
      ['message/a/1', 'one'],
      ['message/a/2', 'two'],
      ['message/ab/1', 'other'],
      ['message/a/1', 'first'],
    ]);
    expect([...(await store.keys('message/a/'))].sort()).toEqual(['message/a/1', 'message/a/2']);
    expect(await store.get('message/a/1')).toBe('first');
    await store.write([
      ['message/a/1', undefined],
      ['message/a/3', 'ž 🎉'],
    ]);
    expect(await store.get('message/a/1')).toBeUndefined();
    expect(await store.get('message/a/3')).toBe('ž 🎉');
    expect([...(await store.keys(''))].sort()).toEqual(['message/a/2', 'message/a/3', 'message/ab/1']);
    await store.close?.();
  });
});

describe('a store in a folder', () => {
  test('is there again when it is opened again, and belongs to one process at a time', async () => {
    const folder = newFolder();
    const store = await fileStore(folder);
    await store.write([['identity', 'alice']]);
    await expect(fileStore(folder)).rejects.toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' });
    await store.close?.();
    const again = await fileStore(folder);
    expect(await again.get('identity')).toBe('alice');
    await again.close?.();
  });
});
