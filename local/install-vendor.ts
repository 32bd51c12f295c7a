import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { runCommand } from './run-command.ts';
import type { Installer, TemporalProgram } from './temporal-programs.ts';

/** A closed network may drop packets without an answer. After this time the next installer is tried. */
const connectTimeoutMs = 5_000;
const downloadTimeoutMs = 180_000;

/** Downloads from the service of Temporal, which its SDKs use too. */
export const fromVendor: Installer = {
  what: ({ version }) => `version ${version} from temporal.download`,
  async install({ program, folder, signal }) {
    const stop = (timeoutMs: number): AbortSignal =>
      AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])]);
    const { archiveUrl, fileToExtract } = await describe(program, stop(connectTimeoutMs));
    const response = await get(archiveUrl, stop(downloadTimeoutMs));
    if (response.body === null) throw new Error(`${archiveUrl} is empty`);
    const archive = path.join(folder, 'archive.tar.gz');
    await pipeline(Readable.fromWeb(response.body), createWriteStream(archive));
    await runCommand('tar', ['-xzf', archive, '-C', folder, fileToExtract], signal && { signal });
    return path.join(folder, fileToExtract);
  },
};

async function describe(
  program: TemporalProgram,
  signal: AbortSignal,
): Promise<{ archiveUrl: string; fileToExtract: string }> {
  const url = new URL(`https://temporal.download/${program.artifact}/v${program.version}`);
  url.searchParams.set('platform', process.platform);
  url.searchParams.set('arch', process.arch === 'x64' ? 'amd64' : process.arch);
  url.searchParams.set('format', 'tar.gz');
  const answer = (await (await get(url.href, signal)).json()) as { archiveUrl?: unknown; fileToExtract?: unknown };
  const { archiveUrl, fileToExtract } = answer;
  if (typeof archiveUrl !== 'string' || typeof fileToExtract !== 'string' || fileToExtract.includes('..')) {
    throw new Error(`${url.href} gave an unknown answer`);
  }
  return { archiveUrl, fileToExtract };
}

async function get(url: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new Error(`no answer (${reason})`, { cause });
  }
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  return response;
}
