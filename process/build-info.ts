import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { packageRoot } from './package-root.ts';

/** What runs. */
export interface BuildInfo {
  /** Of package.json. */
  readonly version: string;
  /** `PARLEY_BUILD`, or the commit that `npm run build` found, or `unknown`. */
  readonly build: string;
}

/** Written by `npm run build` (`ops/write-build.ts`). */
export const BUILD_FILE = path.join('dist', 'build.json');

/** Reads what runs. @param given `PARLEY_BUILD`; it wins over the commit */
export async function readBuildInfo(given: string | undefined): Promise<BuildInfo> {
  const root = packageRoot();
  const manifest: unknown = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
  const { version } = z.object({ version: z.string() }).parse(manifest);
  return { version, build: given ?? (await builtFrom(path.join(root, BUILD_FILE))) ?? 'unknown' };
}

/** @returns undefined if the build knew no commit */
async function builtFrom(file: string): Promise<string | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : z.object({ build: z.string() }).parse(JSON.parse(text)).build;
}
