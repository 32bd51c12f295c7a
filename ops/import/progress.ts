import type pg from 'pg';

/** What an import wrote, in a schema of its own in the database of Parley: it may be dropped afterwards. */
export const IMPORT_SCHEMA = 'parley_import';

/** One imported conversation. */
export interface Imported {
  readonly key: number;
  /** What the original had. Another stamp = it has changed since. */
  readonly stamp: string;
  /** As it was written. Other numbers now = Parley has served it since. */
  readonly lastSeq: number;
  readonly epoch: number;
}

/** Makes the schema. Safe to repeat. */
export async function prepareProgress(pool: pg.Pool): Promise<void> {
  await pool.query(`create schema if not exists ${IMPORT_SCHEMA};
    create table if not exists ${IMPORT_SCHEMA}.conversation (
      original text collate "C" primary key, key bigint not null unique, stamp bytea not null, last_seq bigint not null,
      epoch bigint not null, at timestamptz not null default clock_timestamp())`);
}

/** @returns undefined when it was not imported yet, or when no import has run */
export async function readProgress(client: pg.Pool | pg.PoolClient, original: string): Promise<Imported | undefined> {
  const { rows } = await client.query<Imported>({
    name: 'import-progress',
    text: `select key, encode(stamp, 'hex') as stamp, last_seq as "lastSeq", epoch from ${IMPORT_SCHEMA}.conversation where original = $1`,
    values: [original],
  });
  return rows[0];
}

/** In the transaction that writes the conversation: what stands here is whole. */
export async function writeProgress(
  client: pg.PoolClient,
  original: string,
  { key, stamp, lastSeq, epoch }: Imported,
): Promise<void> {
  await client.query({
    name: 'import-done',
    text: `insert into ${IMPORT_SCHEMA}.conversation (original, key, stamp, last_seq, epoch) values ($1, $2, decode($3, 'hex'), $4, $5)
      on conflict (original) do update set key = excluded.key, stamp = excluded.stamp, last_seq = excluded.last_seq,
        epoch = excluded.epoch, at = clock_timestamp()`,
    values: [original, key, stamp, lastSeq, epoch],
  });
}

/** Whether Parley has served the conversation since it was imported. Locks its row. */
export async function isTouched(client: pg.PoolClient, { key, lastSeq, epoch }: Imported): Promise<boolean> {
  const { rows } = await client.query<{ touched: boolean }>(
    `select last_seq <> $2 or epoch <> $3 or increments > 0 or deleted_at is not null or successor is not null
         or exists (select from operation where conversation = $1) or exists (select from staged where conversation = $1) as touched
       from conversation where key = $1 for update`,
    [key, lastSeq, epoch],
  );
  return rows[0]?.touched ?? true;
}

/** Counts in both tables again, over everything that was imported. */
export async function countImported(
  pool: pg.Pool,
): Promise<{ conversations: number; entries: number; stored: number }> {
  const client = await pool.connect();
  try {
    await client.query('begin read only');
    // A whole count, which the settings of the pool keep everything else from doing.
    await client.query(
      'set local enable_seqscan = on; set local enable_hashjoin = on; set local plan_cache_mode = auto',
    );
    const { rows } = await client.query<{ conversations: number; entries: number; stored: number }>(
      `select count(*) as conversations, coalesce(sum(i.last_seq), 0)::bigint as entries, (
         select count(*) from parley.entry e join ${IMPORT_SCHEMA}.conversation p on p.key = e.conversation and e.seq <= p.last_seq) as stored
       from ${IMPORT_SCHEMA}.conversation i`,
    );
    return rows[0] ?? { conversations: 0, entries: 0, stored: 0 };
  } finally {
    await client.query('rollback').finally(() => client.release());
  }
}
