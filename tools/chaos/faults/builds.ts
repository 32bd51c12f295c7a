import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../../process/package-root.ts';
import type { Fault } from '../fault.ts';

/** A copy of the built package whose workflow starts a timer more: its runs and the others cannot replay one another's histories. */
export function buildWithExtraTimer(folder: string): string {
  const root = path.join(folder, 'other-build');
  mkdirSync(root, { recursive: true });
  cpSync(path.join(packageRoot(), 'dist'), path.join(root, 'dist'), { recursive: true });
  cpSync(path.join(packageRoot(), 'package.json'), path.join(root, 'package.json'));
  cpSync(path.join(packageRoot(), 'store'), path.join(root, 'store'), { recursive: true });
  symlinkSync(path.join(packageRoot(), 'node_modules'), path.join(root, 'node_modules'));
  const bundle = path.join(root, 'dist', 'bundle', 'conversation.js');
  const code = readFileSync(bundle, 'utf8');
  const place = '    announceStart();\n';
  if (!code.includes(place)) throw new Error(`The bundle has no line ${place.trim()} to put a timer behind`);
  writeFileSync(bundle, code.replace(place, `${place}    setTimeout(() => undefined, 3_600_000);\n`));
  return root;
}

export const twoBuilds: Fault = {
  name: 'two-builds',
  does: 'one worker runs a build whose workflow has an extra timer, and is rolled back',
  seconds: [15, 5],
  // Needs that a run which cannot replay fails, and does not block its conversation.
  onlyByName: true,
  inject: async ({ arena }) => {
    const [worker] = arena.workers;
    await worker?.deploy({ root: buildWithExtraTimer(arena.folder) });
    return { what: worker?.name ?? '', heal: () => worker?.deploy() };
  },
};
