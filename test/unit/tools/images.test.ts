import { expect, test } from 'vitest';
import { stagesOf } from '../../../tools/images/dockerfile.ts';
import { imagesIn, pinDigests } from '../../../tools/images/pin.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const OLD = `sha256:${'b'.repeat(64)}`;
const files = new Map([
  ['Dockerfile', `FROM node:22.1.0-slim AS build\nRUN true\nFROM node:22.1.0-slim@${OLD}\n`],
  ['docker-compose.yml', 'services:\n  a:\n    image: parley:0.2.0\n  b:\n    image: postgres:18.6\n'],
]);

test('a Dockerfile is read by stages', () => {
  const text = '# about\nFROM one:1 AS build\n# why\nRUN a \\\n  && b\n\nFROM two:2\nCOPY --from=build /a /b\n';
  expect(stagesOf(text)).toEqual([
    { from: 'one:1', name: 'build', instructions: [{ keyword: 'RUN', argument: 'a && b' }] },
    { from: 'two:2', name: undefined, instructions: [{ keyword: 'COPY', argument: '--from=build /a /b' }] },
  ]);
});

test('every image but ours gets the digest of its tag, also one that has an older digest', async () => {
  expect([...files.values()].flatMap(imagesIn)).toEqual(['node:22.1.0-slim', 'node:22.1.0-slim', 'postgres:18.6']);
  const asked: string[] = [];
  const pinned = await pinDigests(files, (image) => {
    asked.push(image);
    return Promise.resolve(`${DIGEST}\n`);
  });
  expect(asked).toEqual(['node:22.1.0-slim', 'postgres:18.6']);
  expect(pinned.get('Dockerfile')).toBe(
    `FROM node:22.1.0-slim@${DIGEST} AS build\nRUN true\nFROM node:22.1.0-slim@${DIGEST}\n`,
  );
  expect(pinned.get('docker-compose.yml')).toContain(`image: parley:0.2.0\n  b:\n    image: postgres:18.6@${DIGEST}\n`);
});

test('without a digest for each image nothing is pinned, and the error says why', async () => {
  const digestOf = (image: string): Promise<string> =>
    image.startsWith('node') ? Promise.resolve(DIGEST) : Promise.reject(new Error('no network'));
  await expect(pinDigests(files, digestOf)).rejects.toThrow(
    'Nothing is pinned. No digest for:\n  postgres:18.6: no network',
  );
  await expect(pinDigests(files, () => Promise.resolve('what?'))).rejects.toThrow('not a digest: what?');
});
