import { createHash, randomUUID } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { startPostgres } from '../../../local/postgres.ts';
import { makePool } from '../../../store/pool.ts';

/** SQL of one version of the code: its `store` folder. */
export interface FunctionSet {
  readonly name: string;
  readonly folder: string;
  /** Hash partitions of the large tables, by conversation. @default none */
  readonly partitions?: number;
}

/** Tables that grow with the traffic. All their keys begin with the conversation. */
const LARGE_TABLES = ['entry', 'member', 'period', 'operation', 'change', 'proof'];

export interface Comparison {
  readonly name: string;
  readonly beforeUs: number;
  readonly afterUs: number;
  /** Median of the ratios of all rounds; above 1 = the later set is faster. */
  readonly ratio: number;
  /** What was measured: CPU time where the system tells it, else time by the clock. */
  readonly unit: 'CPU' | 'clock';
}

/** A database with one set of functions, one connection, and one conversation for each case. */
interface Side {
  readonly pool: pg.Pool;
  readonly backend: number;
  readonly epochs: Map<string, number>;
}

/** A hot call of the deciding transaction. */
interface Case {
  readonly name: string;
  /** Calls of one round. */
  readonly calls: number;
  readonly make: (side: Side, conversation: string) => Promise<() => Promise<unknown>>;
}

const POLICY = {
  whoMayAdd: 'member',
  whoMayRemove: 'member',
  whoMayPropose: 'member',
  externalJoin: 'member',
  groupInfo: 'optional',
  maxMembers: 1000,
  epochWindow: 2,
  lastAdmin: 'hand-over',
};
const BYTES = Buffer.alloc(512, 1);
const SHA256 = createHash('sha256').update(BYTES).digest('hex');

const CASES: readonly Case[] = [
  { name: '1 message', calls: 300, make: inline(1) },
  { name: '7 messages', calls: 100, make: inline(7) },
  { name: '256 messages', calls: 8, make: inline(256) },
  { name: 'stage 1 message', calls: 150, make: stage },
  { name: '1 staged message', calls: 150, make: staged(1) },
  { name: '256 staged messages', calls: 8, make: staged(256) },
  { name: 'commit', calls: 150, make: commit },
  { name: 'read mark', calls: 150, make: read },
];

/** Runs every case on both sides in turns, round after round. */
export async function compareFunctionSets(
  before: FunctionSet,
  after: FunctionSet,
  rounds: number,
): Promise<Comparison[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'parley-bench-postgres-'));
  chmodSync(folder, 0o755);
  const server = await startPostgres({ dataDir: path.join(folder, 'data'), say: () => undefined, durable: false });
  try {
    // Autovacuum gives one side other statistics than the other, and so other plans: ratios differed by a third.
    await maintain(server.url, 'alter system set autovacuum = off', 'select pg_reload_conf()');
    const sides = [await openSide(server.url, 'before', before), await openSide(server.url, 'after', after)] as const;
    const results = [];
    try {
      for (const each of CASES) results.push(await compare(each, sides, rounds));
    } finally {
      await Promise.all(sides.map(({ pool }) => pool.end()));
    }
    return results;
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

async function compare({ name, calls, make }: Case, sides: readonly [Side, Side], rounds: number): Promise<Comparison> {
  const conversations = [await startConversation(sides[0]), await startConversation(sides[1])] as const;
  const run = async (side: 0 | 1, count: number): Promise<number> => {
    const call = await make(sides[side], conversations[side]);
    const start = spentUs(sides[side].backend);
    for (let i = 0; i < count; i++) await call();
    return (spentUs(sides[side].backend) - start) / count;
  };
  for (const side of [0, 1] as const) await run(side, Math.ceil(calls / 2));
  // Both sides plan with statistics of the same moment.
  for (const { pool } of sides) await pool.query('vacuum analyze');
  const measured: [number, number][] = [];
  for (let round = 0; round < rounds; round++) {
    // In turns, and each first as often as the other.
    const first = await run(round % 2 === 0 ? 0 : 1, calls);
    const second = await run(round % 2 === 0 ? 1 : 0, calls);
    measured.push(round % 2 === 0 ? [first, second] : [second, first]);
  }
  return {
    name,
    beforeUs: median(measured.map(([a]) => a)),
    afterUs: median(measured.map(([, b]) => b)),
    ratio: median(measured.map(([a, b]) => a / b)),
    unit: existsSync('/proc/self/schedstat') ? 'CPU' : 'clock',
  };
}

function inline(count: number): Case['make'] {
  return async ({ pool }, conversation) => {
    await Promise.resolve();
    return () => {
      const ops = Array.from({ length: count }, (_, i) => ({
        ...message(),
        actor: i % 2 === 0 ? 'alice' : 'bob',
        epoch: 0,
        bytes: { ciphertext: i + 1 },
      }));
      return decide(pool, conversation, ops, Array<Buffer>(count).fill(BYTES));
    };
  };
}

/** Staging is paid before the measured time: all rows of a round are there when it starts. */
function staged(count: number): Case['make'] {
  return async ({ pool }, conversation) => {
    const keys: number[] = [];
    const rows = count === 1 ? 150 : count * 8;
    const { rows: stored } = await pool.query<{ key: number }>(
      'select key from stage($1, $2, $3, $4, $5, $6, $7, $8)',
      [
        Array(rows).fill(conversation),
        Array.from({ length: rows }, (_, i) => (i % 2 === 0 ? 'alice' : 'bob')),
        Array(rows).fill(0),
        Array(rows).fill(BYTES),
        Array(rows).fill(null),
        Array(rows).fill(null),
        Array(rows).fill(null),
        2 ** 40,
      ],
    );
    keys.push(...stored.map(({ key }) => key));
    return () => {
      const ops = keys.splice(0, count).map((body) => ({ ...message(), body }));
      return decide(pool, conversation, ops, []);
    };
  };
}

async function stage({ pool }: Side, conversation: string): Promise<() => Promise<unknown>> {
  await pool.query('delete from staged');
  const values = [[conversation], ['alice'], [0], [BYTES], [null], [null], [null], 2 ** 40];
  return () => pool.query({ name: 'stage', text: 'select n, key from stage($1, $2, $3, $4, $5, $6, $7, $8)', values });
}

async function commit({ pool, epochs }: Side, conversation: string): Promise<() => Promise<unknown>> {
  await pool.query('delete from race');
  // Strangers may put a user into few conversations a day.
  await pool.query('delete from invitation');
  return async () => {
    const epoch = epochs.get(conversation) ?? 0;
    epochs.set(conversation, epoch + 1);
    const sha256 = createHash('sha256').update(`${epoch}`).digest('hex');
    const op = { kind: 'commit', id: randomUUID(), actor: 'alice', sha256, size: 512, epoch, bytes: { ciphertext: 1 } };
    const change = epoch % 2 === 0 ? { adds: ['carol'] } : { removes: ['carol'] };
    await decide(pool, conversation, [{ ...op, ...change }], [BYTES]);
  };
}

async function read({ pool }: Side, conversation: string): Promise<() => Promise<unknown>> {
  await Promise.resolve();
  return () => decide(pool, conversation, [{ kind: 'read', id: randomUUID(), actor: 'alice', notAfter: 1e13 }], []);
}

function message(): object {
  return { kind: 'message', id: randomUUID(), sha256: SHA256, size: BYTES.length, notAfter: 1e13 };
}

async function decide(pool: pg.Pool, conversation: string, ops: object[], bytes: Buffer[]): Promise<void> {
  const { rows } = await pool.query<{ decision: { outcomes: { status: string }[] } }>({
    name: 'decide',
    text: 'select decide($1, $2, $3) as decision',
    values: [conversation, JSON.stringify(ops), bytes],
  });
  const refused = rows[0]?.decision.outcomes.find(({ status }) => status !== 'accepted');
  if (refused !== undefined) throw new Error(`Not accepted: ${JSON.stringify(refused)}`);
}

/** Runs statements in the database for maintenance. */
async function maintain(urlOf: (database: string) => string, ...statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: urlOf('postgres') });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}

async function openSide(urlOf: (database: string) => string, name: string, set: FunctionSet): Promise<Side> {
  await maintain(urlOf, `create database ${name}`);
  const pool = makePool({ url: urlOf(name), max: 1, name, statementTimeoutMs: 60_000 });
  // The server may stop before the last socket is closed.
  pool.on('error', () => undefined);
  await pool.query('create schema parley');
  const files = readdirSync(set.folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.sql'));
  const isMigration = (file: string): boolean => file.startsWith('migrations');
  for (const file of files.filter(isMigration).sort())
    await pool.query(readFileSync(path.join(set.folder, file), 'utf8'));
  if (set.partitions !== undefined) await partition(pool, set.partitions);
  const functions = files.filter((file) => !isMigration(file)).sort();
  const sql = functions.map((file) => readFileSync(path.join(set.folder, file), 'utf8')).join('\n');
  await pool.query(`begin; set local check_function_bodies = off; ${sql}; commit`);
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid');
  return { pool, backend: rows[0]?.pid ?? 0, epochs: new Map() };
}

/** Puts partitioned tables in the place of the plain ones, before they have rows and before functions know them. */
async function partition(pool: pg.Pool, count: number): Promise<void> {
  for (const table of LARGE_TABLES) {
    await pool.query(`alter table ${table} rename to ${table}_plain;
      create table ${table} (like ${table}_plain including all) partition by hash (conversation);
      drop table ${table}_plain`);
    for (let i = 0; i < count; i++) {
      await pool.query(
        `create table ${table}_${i} partition of ${table} for values with (modulus ${count}, remainder ${i})`,
      );
    }
  }
}

async function startConversation({ pool }: Side): Promise<string> {
  const id = randomUUID();
  await pool.query(`select create_conversation($1, 'mls', 0, 'alice', '{alice,bob}', $2, null, '')`, [id, POLICY]);
  return id;
}

/** CPU time of a process so far; the time of the clock where the system does not tell. */
function spentUs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1000;
  } catch {
    return performance.now() * 1000;
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
