#!/usr/bin/env node
// `npm run parley -- ...`: what an operator types. It talks to the admin API of the service, and to nothing else.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../process/package-root.ts';
import { run } from './run.ts';

const root = packageRoot();
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort());
process.once('SIGTERM', () => interrupt.abort());
// Whoever reads the output may have read enough, like `head`.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit(0));

const { env, stdin, stdout, stderr } = process;
const code = await run(process.argv.slice(2), { env, root, stdin, stdout, stderr, signal: interrupt.signal }, version);
// A replay leaves threads behind, which would keep the process alive. What was printed goes out first.
stdout.write('', () => process.exit(code));
