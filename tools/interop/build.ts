import { existsSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from '../../local/run-command.ts';
import { packageRoot } from '../../process/package-root.ts';

/** Building all dependencies takes some minutes on two cores. */
const TIME_LIMIT_MS = 20 * 60_000;

/** Where the source of the program is. */
const PROGRAM_SOURCE = path.join(packageRoot(), 'tools', 'interop', 'program');

/**
 * Builds the program with OpenMLS and mls-rs. What is in `cache` from an earlier build is not built again.
 * @param cache folder of `npm run test:edges`
 * @returns the path of the program
 * @throws Error that says what is missing on this machine
 */
export async function buildProgram(cache: string): Promise<string> {
  const folder = path.join(cache, 'cargo-interop');
  const env = { ...process.env, CARGO_TARGET_DIR: folder };
  try {
    await runCommand('cargo', ['--version']);
  } catch (error) {
    throw new Error(
      'cargo is not on the PATH. Install Rust 1.91 or newer, and the headers of OpenSSL 3 (libssl-dev).',
      { cause: error },
    );
  }
  await runCommand('cargo', ['build', '--locked', '--quiet'], { cwd: PROGRAM_SOURCE, env, timeoutMs: TIME_LIMIT_MS });
  const program = path.join(folder, 'debug', 'parley-interop');
  if (!existsSync(program)) throw new Error(`cargo built no ${program}`);
  return program;
}
