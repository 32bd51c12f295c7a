import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../../process/package-root.ts';
import { type FunctionSet, compareFunctionSets } from './compare.ts';

// `npm run bench:sql -- <git ref> [rounds]`: the deciding function of the working tree against that of an older commit, in one
// PostgreSQL, in turns. `-- --partitions 32 [rounds]`: against itself on partitioned tables. See ../README.md.
const { values, positionals } = parseArgs({ options: { partitions: { type: 'string' } }, allowPositionals: true });
const partitions = values.partitions === undefined ? undefined : Number(values.partitions);
const [ref = 'HEAD', rounds = '30'] = partitions === undefined ? positionals : ['HEAD', ...positionals];
const root = packageRoot();
if (!isCommit(ref) || !(Number(rounds) >= 1) || (partitions !== undefined && !(partitions >= 1))) {
  process.stderr.write(
    `Usage: npm run bench:sql -- <git ref> [rounds], or -- --partitions <number> [rounds]. Not a commit, or not a number.\n`,
  );
  process.exit(2);
}
const folder = mkdtempSync(path.join(tmpdir(), 'parley-bench-sql-'));
try {
  const tree: FunctionSet = { name: 'working tree', folder: path.join(root, 'store') };
  const [before, after]: [FunctionSet, FunctionSet] =
    partitions === undefined ? [older(ref), tree] : [tree, { ...tree, name: `${partitions} partitions`, partitions }];
  const results = await compareFunctionSets(before, after, Number(rounds));
  process.stdout.write(
    `CPU time of the backend per call, medians of ${rounds} rounds. Ratio = ${before.name} / ${after.name}.\n`,
  );
  for (const { name, beforeUs, afterUs, ratio, unit } of results) {
    const columns = [name.padEnd(24), `${beforeUs.toFixed(1).padStart(9)} us`, `${afterUs.toFixed(1).padStart(9)} us`];
    process.stdout.write(`${columns.join('  ')}  ratio ${ratio.toFixed(3)}  (${unit})\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function older(commit: string): FunctionSet {
  const archive = execFileSync('git', ['archive', commit, 'store'], { cwd: root, maxBuffer: 64 * 1024 * 1024 });
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  return { name: commit, folder: path.join(folder, 'store') };
}

function isCommit(name: string): boolean {
  try {
    execFileSync('git', ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`], { cwd: root });
    return true;
  } catch {
    return false;
  }
}
