import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { stagesOf } from '../../../tools/images/dockerfile.ts';
import { contextFiles } from '../../harness/image/context-files.ts';

const root = packageRoot();
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const stages = stagesOf(read('Dockerfile'));
const last = stages.at(-1);
const lineOf = (keyword: string): string | undefined =>
  last?.instructions.find((one) => one.keyword === keyword)?.argument;
/** Rooms whose code runs in production: all but those of the local stack and the client library. */
const { forbidden } = createRequire(import.meta.url)(path.join(root, '.dependency-cruiser.cjs')) as {
  forbidden: { name: string; from: { path?: string } }[];
};
const rooms = forbidden
  .filter(({ name, from }) => name.endsWith('-direction') && /^\^\w+\/$/.test(from.path ?? ''))
  .map(({ from }) => (from.path ?? '').slice(1, -1))
  .filter((room) => !['local', 'client', 'tools', 'test'].includes(room));

/** What `cli/` imports of `local/`. Of `client/` it takes types, and the web app is built on all of it. */
const OF_THE_COMMAND_LINE = ['local/development-token.ts', 'local/options.ts', 'local/service-url.ts'];

test('the image has the rooms that run in production, and no others', () => {
  expect(rooms.length).toBeGreaterThan(10);
  const { include } = JSON.parse(read('tsconfig.image.json')) as { include: string[] };
  // Vite builds the web app, from itself and the client library.
  expect([...include, 'web'].sort()).toEqual(rooms.sort());
  const seen = contextFiles(root).filter((file) => file.includes('/'));
  const others = seen.filter((file) => file.startsWith('local/'));
  expect(others.sort()).toEqual(OF_THE_COMMAND_LINE);
  const found = new Set(seen.filter((file) => !others.includes(file)).map((file) => file.split('/')[0]));
  expect([...found].sort()).toEqual([...rooms, 'client', 'docs'].sort());
});

test('Docker sees no secrets, no settings and no history', () => {
  const seen = contextFiles(root);
  expect(seen).toContain('package-lock.json');
  expect(seen).toContain('docs/reference/problems/not-found.md');
  expect(
    seen.filter((file) =>
      /^(?:\.|secrets|docker-compose)|^docs\/(?!reference\/(?:problems\/|api-examples\.json$))/.test(file),
    ),
  ).toEqual([]);
  // `*` first: what is not named stays outside.
  expect(
    read('.dockerignore')
      .split('\n')
      .find((line) => !line.startsWith('#')),
  ).toBe('*');
});

test('the image runs as a user without rights, and takes only results from the stage before', () => {
  expect(stages).toHaveLength(2);
  for (const { from } of stages) expect(from).toMatch(/^node:\d+\.\d+\.\d+-[\w-]+(?:@sha256:[0-9a-f]{64})?$/);
  expect(stages[0]?.from).toBe(last?.from);
  expect(lineOf('USER')).toBe('1000:1000');
  expect(lineOf('STOPSIGNAL')).toBe('SIGTERM');
  const copies = last?.instructions.filter(({ keyword }) => keyword === 'COPY') ?? [];
  expect(copies.length).toBeGreaterThan(2);
  for (const { argument } of copies) expect(argument).toMatch(/^--from=build (?:\/app\/[\w.]+ )+\.\/\w*$/);
  expect(last?.instructions.some(({ keyword }) => keyword === 'RUN')).toBe(false);
});

test('the image installs what the lockfile says, without scripts, and lists it', () => {
  const steps =
    stages[0]?.instructions.filter(({ keyword }) => keyword === 'RUN').map(({ argument }) => argument) ?? [];
  expect(steps[0]).toMatch(/^npm ci --ignore-scripts /);
  expect(steps.some((step) => step.includes('npm prune --omit=dev --ignore-scripts'))).toBe(true);
  expect(steps.some((step) => step.includes('npm sbom') && step.includes('> sbom.cdx.json'))).toBe(true);
});
