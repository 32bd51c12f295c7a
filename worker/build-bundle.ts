import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { bundleWorkflowCode } from '@temporalio/worker';
import { packageRoot } from '../process/package-root.ts';

/**
 * Builds the workflow bundles for `npm run build`: two of conversations, and that of the supervisor, which must not suffer
 * from a bad release of conversations. The default bundle has no stack traces of workflow code: it needs a quarter to a half of the
 * CPU time. The traced one has them, for debugging. The build is skipped if its input is unchanged.
 */
const root = packageRoot();
const out = path.join(root, 'dist', 'bundle');
const sources = ['workflows', 'domain'].map((folder) => path.join(root, 'dist', folder));

const hash = createHash('sha256').update(await readFile(path.join(root, 'package-lock.json')));
for (const folder of sources) {
  for (const name of (await readdir(folder, { recursive: true })).filter((file) => file.endsWith('.js')).sort()) {
    hash.update(name).update(await readFile(path.join(folder, name)));
  }
}
const stamp = hash.digest('hex');
const stampFile = path.join(out, 'stamp');
if (!existsSync(stampFile) || (await readFile(stampFile, 'utf8')) !== stamp) {
  await mkdir(out, { recursive: true });
  const workflows = path.join(root, 'dist', 'workflows');
  const fast = [path.join(workflows, 'stack-traces-off.js'), '@temporalio/workflow'];
  for (const [name, entry, preloadModules] of [
    ['conversation', 'index.js', fast],
    ['conversation-traced', 'index.js', ['@temporalio/workflow']],
    ['supervisor', 'supervisor/index.js', fast],
  ] as const) {
    const { code } = await bundleWorkflowCode({
      workflowsPath: path.join(workflows, entry),
      preloadModules: [...preloadModules],
      logger: { trace: noop, debug: noop, info: noop, log: noop, warn: report, error: report },
    });
    await writeFile(path.join(out, `${name}.js`), code);
  }
  await writeFile(stampFile, stamp);
}

function noop(): void {
  // Drops the progress messages of webpack.
}

function report(message: unknown): void {
  process.stderr.write(`${String(message)}\n`);
}
