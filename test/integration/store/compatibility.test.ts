import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { Outcome } from '../../../domain/outcome.ts';
import type { OperationJson } from '../../../store/decision/inline-operation.ts';
import { makePolicy } from '../../../domain/policy.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { createConversation } from '../../../store/conversation/conversations.ts';
import { decide } from '../../../store/decision/decide.ts';
import { isMigrated, migrate, readSchema } from '../../../store/migrate.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { createTestDatabase } from '../../harness/database.ts';
import { sha256, startConversation } from '../../harness/requests.ts';

/**
 * Release 0.1.0 may still run beside this one, and its rows and updates are still there: its database is migrated and works on,
 * its staged rows are decided, and so are the operations in its stored histories.
 */
const root = packageRoot();
const schema = await readSchema(path.join(root, 'store'));
const oldFunctions = readFileSync(path.join(root, 'test/fixtures/functions-0.1.0.sql'), 'utf8');

/** A database as release 0.1.0 left it: its migrations, its functions, no checksums and no version. */
async function oldDatabase(): Promise<pg.Pool> {
  const { pool, drop } = await createTestDatabase('template0');
  onTestFinished(drop);
  await pool.query('create schema parley');
  await pool.query(
    `create table migration (version int primary key, name text not null, at timestamptz not null default now());
     create table functions (hash text primary key, at timestamptz not null default now())`,
  );
  for (const { version, name, sql } of schema.migrations.filter(({ version: number }) => number <= 5)) {
    await pool.query(sql);
    await pool.query('insert into migration (version, name) values ($1, $2)', [version, name]);
  }
  await installOldFunctions(pool);
  return pool;
}

/** What `migrate` of release 0.1.0 does. */
async function installOldFunctions(pool: pg.Pool): Promise<void> {
  await pool.query(`begin; set local check_function_bodies = off; ${oldFunctions};
    with old as (delete from functions where hash <> 'old') insert into functions (hash) values ('old'); commit`);
}

/** `stage()` as release 0.1.0 calls it. */
async function stage(pool: pg.Pool, conversation: string, row: StagedRow): Promise<number> {
  const { rows } = await pool.query<{ key: number }>('select n, key from stage($1, $2, $3, $4, $5, $6, $7, $8)', [
    [conversation],
    [row.user],
    [row.epoch ?? null],
    [Buffer.from(row.bytes ?? '')],
    [row.welcome === undefined ? null : Buffer.from(row.welcome)],
    [row.groupInfo === undefined ? null : Buffer.from(row.groupInfo)],
    [row.request === undefined ? null : JSON.stringify(row.request)],
    1_000_000,
  ]);
  return rows[0]?.key ?? expect.unreachable();
}

interface StagedRow {
  readonly user: string;
  readonly epoch?: number;
  readonly bytes?: string;
  readonly welcome?: string;
  readonly groupInfo?: string;
  readonly request?: object;
}

function reference(kind: string, body: number, more: object = {}): OperationJson {
  return { kind, id: `${kind}-${body}`, size: 5, body, notAfter: 1e13, ...more } as unknown as OperationJson;
}

async function one(pool: pg.Pool, conversation: string, operation: OperationJson): Promise<Outcome> {
  return (await decide(pool, conversation, [operation])).outcomes[0] ?? expect.unreachable();
}

test('a database of 0.1.0 with data in it is migrated, answers its old operations, and works on', async () => {
  const pool = await oldDatabase();
  const conversation = await startConversation(pool);
  const send = async (operation: object, bytes: Buffer[] = []): Promise<Outcome> => {
    const { rows } = await pool.query<{ decision: { outcomes: Outcome[] } }>('select decide($1, $2, $3) as decision', [
      conversation,
      JSON.stringify([operation]),
      bytes,
    ]);
    return rows[0]?.decision.outcomes[0] ?? expect.unreachable();
  };
  const bytes = (text: string): object => ({ sha256: sha256(text).toString('hex'), size: 1, bytes: { ciphertext: 1 } });
  const old: [object, Buffer[]][] = [
    [{ kind: 'message', id: 'm', actor: 'alice', epoch: 0, ...bytes('m') }, [Buffer.from('m')]],
    [{ kind: 'commit', id: 'c', actor: 'alice', epoch: 0, adds: ['dave'], ...bytes('c') }, [Buffer.from('c')]],
    [{ kind: 'leave', id: 'l', actor: 'carol', epoch: 1, ...bytes('l') }, [Buffer.from('l')]],
    [{ kind: 'read', id: 'r', actor: 'bob', seq: 1 }, []],
    [{ kind: 'increment', id: 'i', actor: 'bob', by: 2 }, []],
    [{ kind: 'role', id: 'o', actor: 'alice', user: 'bob', role: 'admin' }, []],
    [{ kind: 'policy', id: 'p', actor: 'alice', policy: { maxMembers: 9 } }, []],
    [
      { kind: 'report', id: 'e', actor: 'bob', size: 0, seq: 1, epoch: 1, reason: 'stuck', epochAuthenticator: 'AAAA' },
      [],
    ],
  ];
  for (const [operation, sent] of old) expect(await send(operation, sent)).toMatchObject({ status: 'accepted' });
  const staged = await stage(pool, conversation, { user: 'bob', epoch: 1, bytes: 'staged' });
  const report = await stage(pool, conversation, { user: 'dave', epoch: 1, request: { reason: 'stuck' } });

  expect(await isMigrated(pool, schema)).toBe(false);
  expect(await migrate(pool, schema)).toContain('functions');
  expect(await isMigrated(pool, schema)).toBe(true);
  // The fingerprints of its answers are still the same.
  for (const [operation, sent] of old) expect(await send(operation, sent)).toMatchObject({ status: 'duplicate' });
  const hash = sha256('staged').toString('hex');
  expect(await one(pool, conversation, reference('message', staged, { sha256: hash }))).toMatchObject({ seq: 4 });
  // Bob has acted, dave never did.
  expect(await one(pool, conversation, reference('report', report, { seq: 2, epoch: 1 }))).toMatchObject({
    reports: 1,
    needed: 2,
  });
  expect((await pool.query('select from staged')).rowCount).toBe(0);
  await checkInvariants(pool, conversation);
  const { rows } = await pool.query<{ name: string }>(
    `select proname as name from pg_proc where pronamespace = 'parley'::regnamespace`,
  );
  const names = rows.map(({ name }) => name);
  for (const gone of ['decide_other', 'tell', 'succeed', 'not_stuck', 'hand_over', 'lose_race', 'operation_input']) {
    expect(names).not.toContain(gone);
  }
  // A process of 0.1.0 that starts late puts its own functions back: they work on what the new ones wrote.
  await installOldFunctions(pool);
  expect(await send({ kind: 'read', id: 'back', actor: 'bob' })).toMatchObject({ status: 'accepted' });
  expect(await migrate(pool, schema)).toEqual(['functions']);
  expect(await send({ kind: 'read', id: 'back', actor: 'bob' })).toMatchObject({ status: 'duplicate' });
});

test('every function that 0.1.0 calls is there, with its arguments', async () => {
  const pool = await oldDatabase();
  const signatures = async (): Promise<string[]> => {
    const { rows } = await pool.query<{ signature: string }>(
      `select proname || '(' || pg_get_function_arguments(oid) || ') ' || pg_get_function_result(oid) as signature
       from pg_proc where pronamespace = 'parley'::regnamespace and proname = any ($1) order by 1`,
      [ENTRY_POINTS],
    );
    return rows.map(({ signature }) => signature);
  };
  const before = await signatures();
  expect(before.length).toBeGreaterThanOrEqual(ENTRY_POINTS.length);
  await migrate(pool, schema);
  expect(await signatures()).toEqual(before);
});

/** Functions named in the SQL of the TypeScript of release 0.1.0. */
const ENTRY_POINTS = [
  'acknowledge_welcome',
  'claim_key_packages',
  'count_available',
  'create_conversation',
  'decide',
  'erase_user',
  'forget_device',
  'needed_reports',
  'purge_deleted',
  'retain',
  'stage',
  'stuck_members',
  'sweep_devices',
  'sweep_races',
  'sweep_staged',
  'sweep_welcome_bodies',
  'upload_key_packages',
];

test('commits that 0.1.0 staged are decided by what their rows say', async () => {
  const pool = await oldDatabase();
  const conversation = await startConversation(pool, { policy: { whoMayRemove: 'admin', externalJoin: 'anyone' } });
  const stagedCommit = async (user: string, epoch: number, request: object): Promise<Outcome> => {
    const bytes = `${user} ${epoch} ${JSON.stringify(request)}`;
    const key = await stage(pool, conversation, { user, epoch, bytes, request });
    if (epoch === 0) await migrate(pool, schema);
    const hash = sha256(bytes).toString('hex');
    return one(pool, conversation, reference('commit', key, { sha256: hash, deferred: true }));
  };
  expect(await stagedCommit('bob', 0, { trimmed: ['carol'] })).toMatchObject({ code: 'not-allowed' });
  expect(await stagedCommit('alice', 0, { dropped: ['carol'] })).toMatchObject({ code: 'membership-mismatch' });
  expect(await stagedCommit('alice', 0, { uses: ['00'], leaves: ['alice', 'bob', 'mallory'] })).toMatchObject({
    code: 'membership-mismatch',
  });
  expect(await stagedCommit('alice', 0, { trimmed: ['carol'], leaves: ['alice', 'bob', 'carol'] })).toMatchObject({
    status: 'accepted',
    epoch: 1,
  });
  expect(await stagedCommit('mallory', 1, { external: true })).toMatchObject({ status: 'accepted', epoch: 2 });
  await checkInvariants(pool, conversation);
});

test('the operations of the stored histories of 0.1.0 are decided', async () => {
  const pool = await oldDatabase();
  const operations = historyOperations();
  expect(new Set(operations.map(({ kind }) => kind))).toEqual(
    new Set(['message', 'commit', 'read', 'policy', 'leave', 'increment', 'group-info', 'report', 'reset', 'nonsense']),
  );
  let migrated = false;
  for (const [n, operation] of operations.entries()) {
    const id = `history-${String(n).padStart(4, '0')}`;
    const policy = makePolicy({ groupInfo: 'optional' }, { epochWindow: 2 });
    const members = ['creator', 'alice', 'bob', 'dave'];
    const removes = JSON.stringify(operation).includes('removes');
    await createConversation(pool, {
      id,
      protocol: operation.kind === 'commit' && !('body' in operation) ? 'opaque' : 'mls',
      epoch: 0,
      creator: 'creator',
      members: removes ? members : members.slice(0, 3),
      policy,
      fingerprint: Buffer.from(''),
    });
    // Its row, as 0.1.0 stages it; the bytes are not those of the history, which has none.
    const row = { user: 'creator', epoch: 0, bytes: 'bytes', groupInfo: 'group info', request: { reason: 'stuck' } };
    const body = 'body' in operation ? await stage(pool, id, row) : undefined;
    if (!migrated) await migrate(pool, schema);
    migrated = true;
    const asked = {
      ...operation,
      ...(body === undefined ? {} : { body }),
      notAfter: undefined,
    } as unknown as OperationJson;
    const outcome = await one(pool, id, asked);
    const expected = operation.kind === 'nonsense' ? { code: 'body-missing' } : { status: 'accepted' };
    expect([operation, outcome]).toMatchObject([operation, expected]);
    if (body !== undefined || operation.kind === 'nonsense') continue;
    expect(await one(pool, id, asked), 'the update again').toMatchObject({ status: 'duplicate' });
  }
});

/** One operation of each form that is in the payloads of the histories. */
function historyOperations(): (Record<string, unknown> & { readonly kind: string })[] {
  const folder = path.join(root, 'test/histories');
  const found = new Map<string, Record<string, unknown> & { readonly kind: string }>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('kind' in value && typeof value.kind === 'string' && 'id' in value) {
      const form = `${value.kind} ${Object.keys(value).sort().join()}`;
      if (!found.has(form)) found.set(form, { ...value, kind: value.kind });
    }
    if ('data' in value && 'metadata' in value && typeof value.data === 'string') {
      const text = Buffer.from(value.data, 'base64').toString();
      if (text.startsWith('{') || text.startsWith('[')) visit(JSON.parse(text));
    }
    for (const inner of Object.values(value)) visit(inner);
  };
  for (const file of readdirSync(folder).filter((name) => name.startsWith('0.1.0-'))) {
    visit(JSON.parse(readFileSync(path.join(folder, file), 'utf8')));
  }
  return [...found.values()];
}
