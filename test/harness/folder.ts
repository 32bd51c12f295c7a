import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';

/** A temporary folder that other users may enter, as PostgreSQL's user must when the tests run as root. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-test-'));
  chmodSync(folder, 0o755);
  return folder;
}

/** The same, removed when the running test ends. */
export function testFolder(): string {
  const folder = temporaryFolder();
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes an executable file and returns its path. */
export function writeExecutable(file: string, content = '#!/bin/sh\n'): string {
  writeFileSync(file, content, { mode: 0o755 });
  return file;
}
