import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { encodeMessage, loadSuite, makeKeyPackage } from '../../client/testing.ts';
import { type JobInput, type JobName, JOBS, runsInline } from '../../compute/jobs.ts';
import { makeJobPool } from '../../compute/pool.ts';
import { sizeOf } from '../../compute/wire.ts';
import { makeMetrics } from '../../process/metrics.ts';
import { syntheticGroup } from '../harness/synthetic-group.ts';
import { BODY_LIMIT_COMMITS, MAX_LEAVES_PER_JOB } from '../../domain/limits.ts';
import { checkSuppliedGroupInfo } from '../../mls/supplied-group-info.ts';
import { optionsOrExit, wholeNumber } from '../command-line.ts';

// `npm run cost:jobs`: what each job costs by the size of its input, in this thread and through a thread. The limits in
// compute/jobs.ts come from it. Counted is the time in which this event loop is busy and serves nobody else.

interface Case {
  readonly name: JobName;
  readonly what: string;
  /** A fresh input: threads take the bytes of some jobs. */
  readonly input: () => readonly unknown[];
}

const { values } = parseArgs({ options: { repeats: { type: 'string' } } });
const repeats = optionsOrExit(() => wholeNumber(values.repeats, 5), 'npm run cost:jobs [-- --repeats N]');

const KB = 1024;
const MB = 1024 * KB;

function jsonCase(what: string, value: unknown): Case {
  const text = JSON.stringify(value);
  return { name: 'json', what, input: () => [Buffer.from(text)] satisfies JobInput<'json'> };
}

async function packageCase(count: number): Promise<Case> {
  const suite = await loadSuite();
  const identity = { user: 'alice', signatureKeyPair: await newSignatureKey() };
  const made = await Promise.all(Array.from({ length: count }, () => makeKeyPackage(identity, suite)));
  const keyPackages = made.map(({ publicPackage }) =>
    Buffer.from(encodeMessage({ wireformat: 'mls_key_package', keyPackage: publicPackage }), 'base64'),
  );
  const rules = { user: 'alice', maxLifetimeMs: undefined };
  return { name: 'key-packages', what: `${count} packages`, input: () => [{ keyPackages }, rules] };
}

async function newSignatureKey(): Promise<{ signKey: Uint8Array; publicKey: Uint8Array }> {
  return (await loadSuite()).signature.keygen();
}

/** A GroupInfo, its facts, a private commit with it, and a batch of its leaves. */
function groupCases(size: number): Case[] {
  const { groupId, groupInfo, user } = syntheticGroup(size);
  const limits = { maxTreeBytes: BODY_LIMIT_COMMITS, maxLeafSignatures: MAX_LEAVES_PER_JOB };
  const supplied = { groupId, groupInfo, user, isNewGroup: false, ...limits } satisfies JobInput<'group-info'>[0];
  const stored = { epoch: 1, groupInfo, isChecked: true, isProven: false };
  // A PrivateMessage of a commit that ends epoch 0 (RFC 9420 §6.3).
  const head = [Buffer.of(0, 1, 0, 2, groupId.length), groupId, Buffer.alloc(8), Buffer.of(3, 0, 1, 7, 1, 7)];
  const bundle = { groupId, user, commit: Buffer.concat(head), currentEpoch: 0, groupInfo, ...limits };
  const { leavesToVerify: [batch] = [] } = checkSuppliedGroupInfo({ ...supplied, maxLeafSignatures: size / 2 });
  if (batch === undefined) throw new Error('half of the leaves are in a batch');
  const what = `${size} leaves`;
  return [
    { name: 'group-info', what, input: () => [supplied] },
    { name: 'group-info', what: `${what}, known`, input: () => [{ ...supplied, stored }] },
    { name: 'commit-bundle', what, input: () => [bundle satisfies JobInput<'commit-bundle'>[0]] },
    { name: 'epoch-facts', what, input: () => [stored, BODY_LIMIT_COMMITS] satisfies JobInput<'epoch-facts'> },
    ...(size / 2 > MAX_LEAVES_PER_JOB
      ? []
      : [{ name: 'leaf-signatures', what: `${size / 2} leaves`, input: () => [batch] } as const]),
  ];
}

function creationCase(bytes: number): Case {
  const content = { protocol: 'mls', epoch: 0, members: ['alice'], groupInfo: randomBytes(bytes), policy: {} } as const;
  return { name: 'fingerprint', what: `GroupInfo of ${bytes / KB} KB`, input: () => [content] };
}

/** Milliseconds in which this event loop is busy with some work: the median of the repeats, after one to warm up. */
async function busyMs(input: Case['input'], work: (input: readonly unknown[]) => unknown): Promise<number> {
  await work(input());
  const times: number[] = [];
  for (let i = 0; i < repeats; i++) {
    const fresh = input();
    const before = performance.eventLoopUtilization();
    await work(fresh);
    times.push(performance.eventLoopUtilization(before).active);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}

const ids = (count: number): string[] => Array.from({ length: count }, (_, n) => `did:example:user-${n}`);
const base64 = (bytes: number): string => randomBytes(bytes).toString('base64');
const cases: Case[] = [
  jsonCase('12 KB of base64', { commit: base64(12 * KB) }),
  jsonCase('192 KB of base64', { commit: base64(192 * KB) }),
  jsonCase('768 KB of base64', { commit: base64(768 * KB) }),
  jsonCase('6 MB of base64', { commit: base64(6 * MB) }),
  jsonCase('100 messages of 512 bytes', { messages: ids(100).map((id) => ({ id, ciphertext: base64(512) })) }),
  jsonCase('1,000 user ids', { users: ids(1000) }),
  jsonCase('20,000 user ids', { adds: ids(10_000), removes: ids(10_000) }),
  await packageCase(1),
  await packageCase(4),
  await packageCase(16),
  await packageCase(100),
  ...[4, 8, 16, 100, 512, 10_000].flatMap(groupCases),
  ...[64 * KB, 256 * KB, 5 * MB].map(creationCase),
  ...[256 * KB, MB, 6 * MB].map((size): Case => {
    const bytes = randomBytes(size);
    return { name: 'sha256', what: `${size / KB} KB`, input: () => [bytes] };
  }),
];

const pool = makeJobPool({
  threads: 1,
  maxWaitMs: 60_000,
  log: pino({ level: 'silent' }),
  metrics: makeMetrics({ collectDefaults: false }),
  runsInline: () => false,
});
await pool.start();
process.stdout.write(
  '| job | input | bytes | ms inline | ms of this thread for a thread | runs |\n| - | - | -: | -: | -: | - |\n',
);
for (const { name, what, input } of cases) {
  const run = JOBS[name] as (...args: readonly unknown[]) => unknown;
  const bytes = sizeOf(input());
  const send = pool.run as (...args: readonly unknown[]) => Promise<unknown>;
  const inline = await busyMs(input, (args) => run(...args));
  const inThread = await busyMs(input, (args) => send(name, 'alice', ...args));
  const where = runsInline(name, bytes) ? 'inline' : 'thread';
  process.stdout.write(`| ${[name, what, bytes, inline.toFixed(2), inThread.toFixed(2), where].join(' | ')} |\n`);
}
await pool.close();
