import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { below } from '../../../tools/load/random.ts';
import { type TestDatabase, createTestDatabase } from '../database.ts';
import { read } from '../markdown.ts';
import { whileTestsRun } from '../while-tests-run.ts';

/** A database with the tables of the original system. */
export interface OriginalDatabase {
  readonly url: string;
  readonly pool: pg.Pool;
  readonly add: (table: string, row: Readonly<Record<string, unknown>>) => Promise<void>;
}

/** A moment in the life of a conversation: seconds since its creation, yesterday. */
export const at = (second: number): Date => new Date(Math.floor(Date.now() / 1000 - 86_400 + second) * 1000);

export const groupId = (): string => randomBytes(16).toString('hex');

/** The id that Parley has for a group id in hex. */
export const idOf = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url');

export function useOriginal(): OriginalDatabase {
  let database: TestDatabase | undefined;
  let pool: pg.Pool | undefined;
  beforeAll(async () => {
    database = await createTestDatabase('template0');
    pool = new pg.Pool({ connectionString: database.url, max: 4 });
    pool.on('error', () => undefined);
    await pool.query(read('test/fixtures/original/schema.sql'));
  });
  afterAll(async () => {
    await pool?.end();
    await database?.drop();
  });
  return whileTestsRun('a database of the original', () => {
    const { url } = database ?? {};
    if (pool === undefined || url === undefined) return undefined;
    const own = pool;
    const add = async (table: string, row: Readonly<Record<string, unknown>>): Promise<void> => {
      const names = Object.keys(row);
      await own.query(
        `insert into ${table} (${names.join(', ')}) values (${names.map((_, i) => `$${i + 1}`).join(', ')})`,
        Object.values(row),
      );
    };
    return { url, pool: own, add };
  });
}

/** A conversation and its members, all there from the start. @returns its id */
export async function plant(
  { add }: OriginalDatabase,
  {
    members,
    id = groupId(),
    epoch = 0,
  }: { readonly members: readonly string[]; readonly id?: string; readonly epoch?: number },
): Promise<string> {
  await add('conversations', { id, creator_did: members[0] ?? 'did:a', current_epoch: epoch, created_at: at(0) });
  for (const did of members) {
    await add('members', {
      convo_id: id,
      member_did: did,
      user_did: did,
      joined_at: at(0),
      is_admin: did === members[0],
    });
  }
  return id;
}

/** A row of `messages`. @returns its id */
export async function plantMessage(
  { add }: OriginalDatabase,
  convo: string,
  message: { readonly seq: number; readonly epoch: number; readonly second: number } & Readonly<
    Record<string, unknown>
  >,
): Promise<string> {
  const { second, ...columns } = message;
  const row = { id: randomUUID(), ciphertext: randomBytes(40), created_at: at(second), ...columns };
  await add('messages', { convo_id: convo, ...row });
  return row.id;
}

/** A conversation as the races of the original leave one: nothing about its numbers is right. @returns its id */
export async function plantMess(original: OriginalDatabase, random: () => number): Promise<string> {
  const dids = Array.from({ length: 1 + below(random, 6) }, (_, n) => `did:plc:user${n}`);
  const id = await plant(original, { members: dids.slice(0, 1 + below(random, dids.length)), epoch: below(random, 6) });
  const devices = dids.flatMap((did) => [`${did}#phone`, `${did}#laptop`]);
  for (const did of devices.filter(() => random() < 0.5)) {
    const joined = below(random, 60);
    const left = random() < 0.5 ? { left_at: at(joined - 5 + below(random, 40)) } : {};
    const read = random() < 0.5 ? { last_read_at: at(below(random, 70)) } : {};
    const [user] = did.split('#');
    const names = random() < 0.5 ? { user_did: user } : {};
    await original.add('members', { convo_id: id, member_did: did, joined_at: at(joined), ...left, ...read, ...names });
  }
  for (let n = below(random, 40); n > 0; n--) {
    const isCommit = random() < 0.3;
    const sender = random() < 0.3 ? { sender_did: devices[below(random, devices.length)] } : {};
    await plantMessage(original, id, {
      seq: random() < 0.2 ? 0 : 3 + below(random, 30),
      epoch: below(random, 8),
      second: below(random, 60),
      message_type: isCommit ? 'commit' : 'app',
      ...(random() < 0.1 ? { expires_at: at(1) } : {}),
      ...sender,
    });
  }
  return id;
}
