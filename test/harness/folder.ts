import { writeFileSync } from 'node:fs';
import { afterAll, onTestFinished } from 'vitest';
import { temporaryFolder } from '../../tools/harness/temporary-folder.ts';

/** The path of a temporary folder, removed when the running test ends. */
export function testFolder(): string {
  const folder = temporaryFolder('test');
  onTestFinished(folder.remove);
  return folder.path;
}

/** The same, removed after the last test of the file. */
export function useFolder(): string {
  const folder = temporaryFolder('test');
  afterAll(folder.remove);
  return folder.path;
}

/** Writes an executable file and returns its path. */
export function writeExecutable(file: string, content = '#!/bin/sh\n'): string {
  writeFileSync(file, content, { mode: 0o755 });
  return file;
}
