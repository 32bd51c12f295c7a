import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../process/package-root.ts';
import { documentText } from './document-text.ts';

// Writes docs/openapi.json; a test fails while it is out of date.
const root = packageRoot();
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
writeFileSync(path.join(root, 'docs', 'openapi.json'), documentText(version));
