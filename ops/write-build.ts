import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BUILD_FILE } from '../process/build-info.ts';
import { packageRoot } from '../process/package-root.ts';

// Part of `npm run build`: writes down from which commit it was built. Where there is no git, for
// example in an image, `PARLEY_BUILD` says it.
const root = packageRoot();
const file = path.join(root, BUILD_FILE);
const { status, stdout } = spawnSync('git', ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'], {
  cwd: root,
  encoding: 'utf8',
});
// Without its own `.git`, git would find the repository of a folder above.
if (status === 0 && existsSync(path.join(root, '.git'))) writeFileSync(file, JSON.stringify({ build: stdout.trim() }));
else rmSync(file, { force: true });
