import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

// Where the API of `npm start` listens, for `npm run parley`: another terminal need not repeat PORT.

const fileIn = (dataDir: string): string => path.join(dataDir, 'api-url');

export function writeServiceUrl(dataDir: string, url: string): void {
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(fileIn(dataDir), `${url}\n`);
}

/** @returns `undefined` when `npm start` does not run here */
export function readServiceUrl(dataDir: string): string | undefined {
  try {
    return readFileSync(fileIn(dataDir), 'utf8').trim();
  } catch {
    return undefined;
  }
}

export function removeServiceUrl(dataDir: string): void {
  rmSync(fileIn(dataDir), { force: true });
}
