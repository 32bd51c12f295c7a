import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { writeClientReference } from '../../../tools/client-reference/generate.ts';
import { testFolder } from '../../harness/folder.ts';

const pagesIn = (folder: string): Record<string, string> =>
  Object.fromEntries(readdirSync(folder).map((file) => [file, readFileSync(path.join(folder, file), 'utf8')]));

test('the reference of the client library is what its docstrings say, and nothing public is without one', async () => {
  const folder = testFolder();
  expect(await writeClientReference(folder)).toEqual([]);
  // `npm run client-reference` writes it.
  expect(pagesIn(path.join(packageRoot(), 'docs/reference/client'))).toEqual(pagesIn(folder));
});
