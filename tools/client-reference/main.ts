// `npm run client-reference` writes docs/reference/client from the docstrings of the client library. A test compares the two.
import { rmSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { writeClientReference } from './generate.ts';

const folder = path.join(packageRoot(), 'docs', 'reference', 'client');
rmSync(folder, { recursive: true, force: true });
for (const line of await writeClientReference(folder)) {
  process.stderr.write(`${line}\n`);
  process.exitCode = 1;
}
