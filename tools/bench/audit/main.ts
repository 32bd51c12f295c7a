import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type pg from 'pg';
import { startPostgres } from '../../../local/postgres.ts';
import { type Slice, auditNextConversations } from '../../../store/consistency/audit.ts';
import { makePool } from '../../../store/pool.ts';
import { optionsOrExit, wholeNumber } from '../../command-line.ts';
import { asAdmin } from '../../../local/database-copy.ts';
import { migrateDatabase } from '../../harness/databases.ts';
import { seedMany } from '../../load/seed-many.ts';

// `npm run bench:audit`: the consistency audit of many conversations, without its pauses (docs/explanation/consistency.md).
const options = optionsOrExit(() => {
  const { values } = parseArgs({
    options: { conversations: { type: 'string' }, entries: { type: 'string' }, large: { type: 'string' } },
  });
  return {
    conversations: wholeNumber(values.conversations, 100_000),
    entries: wholeNumber(values.entries, 20),
    large: wholeNumber(values.large, 100_000),
  };
}, 'npm run bench:audit [-- --conversations N --entries N --large ENTRIES]');
const MEMBERS = 3;
const SEED_MS = 600_000;

const folder = mkdtempSync(path.join(tmpdir(), 'parley-bench-audit-'));
chmodSync(folder, 0o755);
const server = await startPostgres({ dataDir: path.join(folder, 'data'), say: () => undefined, durable: false });
try {
  const url = server.url('parley_audit');
  await asAdmin(server.url(), (client) => client.query('create database parley_audit'));
  await migrateDatabase(url);
  await seed(url);
  const pool = makePool({ url, max: 1, name: 'bench-audit' });
  await measure(pool).finally(() => pool.end());
} finally {
  await server.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** Many conversations with a few entries, and a large one. */
async function seed(url: string): Promise<void> {
  const pool = makePool({ url, max: 1, name: 'bench-seed', statementTimeoutMs: SEED_MS });
  try {
    await seedMany(pool, { name: 'audit', conversations: options.conversations, members: MEMBERS });
    await seedMany(pool, { name: 'large', conversations: 1, members: MEMBERS });
    await pool.query(
      `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at)
       select key, n, 'application', 0, 'm' || n, sha256(n::text::bytea), decode(repeat('00', 300), 'hex'), created_by, n, created_at
       from conversation, lateral generate_series(1, case when key > $1 then $3::int else $2::int end) n`,
      [options.conversations, options.entries, options.large],
    );
    await pool.query(
      `update conversation set last_seq = case when key > $1 then $3::int else $2::int end,
         app_count = case when key > $1 then $3::int else $2::int end`,
      [options.conversations, options.entries, options.large],
    );
    await pool.query('vacuum analyze');
  } finally {
    await pool.end();
  }
}

async function measure(pool: pg.Pool): Promise<void> {
  const backend = (await pool.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0;
  const times: number[] = [];
  let checked = 0;
  let found = 0;
  let largest = 0;
  const cpu = process.cpuUsage();
  for (let after: string | undefined = '0'; after !== undefined;) {
    const startedAt = performance.now();
    const slice: Slice = await auditNextConversations(pool, { after, last: Number.MAX_SAFE_INTEGER });
    const ms = performance.now() - startedAt;
    times.push(ms);
    checked += slice.checked;
    found += slice.found;
    if (slice.checked === 1) largest = Math.max(largest, ms);
    after = slice.next;
  }
  const { user, system } = process.cpuUsage(cpu);
  const seconds = times.reduce((sum, ms) => sum + ms, 0) / 1000;
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.floor((sorted.length - 1) * part)] ?? 0).toFixed(0);
  process.stdout.write(
    [
      `${checked} conversations, ${options.entries} entries and ${MEMBERS} members each, one with ${options.large} entries; ${found} findings`,
      `reading: ${seconds.toFixed(1)} s in ${times.length} slices (${(checked / seconds).toFixed(0)} conversations/s); with 20 % of the time: ${((seconds * 5) / 60).toFixed(1)} min`,
      `a slice: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, max ${at(1)} ms; the large conversation: ${largest.toFixed(0)} ms`,
      `memory of the backend, highest: ${memoryMb(backend)} MB; CPU of this process: ${((user + system) / 1000).toFixed(0)} ms`,
      `machine: ${cpus().length} cores, load ${loadavg()[0]?.toFixed(1) ?? '-'}`,
      '',
    ].join('\n'),
  );
  if (found > 0) process.exitCode = 1;
}

/** Without what it shares with other backends. */
function memoryMb(pid: number): string {
  const file = `/proc/${pid}/smaps_rollup`;
  if (!existsSync(file)) return '-';
  try {
    const anonymous = /^Anonymous:\s+(\d+) kB$/m.exec(readFileSync(file, 'utf8'))?.[1];
    return (Number(anonymous) / 1024).toFixed(0);
  } catch {
    return '-';
  }
}
