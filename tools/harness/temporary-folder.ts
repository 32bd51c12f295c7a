import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { atExit } from './at-exit.ts';

export interface TemporaryFolder {
  readonly path: string;
  readonly remove: () => void;
}

/**
 * A folder below the system's temporary one, removed at the latest when this process exits.
 * Other users may enter it: PostgreSQL runs as a user of its own when this process runs as root.
 * @param name becomes part of the folder's name
 */
export function temporaryFolder(name: string): TemporaryFolder {
  const folder = mkdtempSync(path.join(tmpdir(), `parley-${name}-`));
  chmodSync(folder, 0o755);
  const forget = atExit(() => removeFolder(folder));
  return {
    path: folder,
    remove: () => {
      forget();
      removeFolder(folder);
    },
  };
}

/** A server that was killed a moment ago may still write: then removing is tried again. */
function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}
