// `npm run cli-reference` writes docs/reference/cli.md from the program. A test compares the two.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { packageRoot } from '../../process/package-root.ts';
import { cliReference } from './text.ts';

const file = path.join(packageRoot(), 'docs', 'reference', 'cli.md');
writeFileSync(file, await format(cliReference(), { ...(await resolveConfig(file)), parser: 'markdown' }));
