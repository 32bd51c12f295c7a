import { randomUUID } from 'node:crypto';
import type pg from 'pg';

/** Tables with rows of a conversation, those that others refer to first. */
const TABLES = [
  'conversation',
  'member',
  'period',
  'entry',
  'change',
  'operation',
  'device_position',
  'welcome_body',
  'welcome',
];

/**
 * Keeps the rows of a conversation as they are now.
 * @returns puts them back, in one transaction: as after the restore of an older state of the database
 */
export async function keepConversation(pool: pg.Pool, id: string): Promise<() => Promise<void>> {
  const name = `kept_${randomUUID().replaceAll('-', '')}`;
  const own = (table: string): string => rowsOf(table, id);
  // Statements of one query are one transaction. The lock makes them see one state.
  const lock = `select from conversation where id = '${id}' for update;`;
  const kept = TABLES.map((table) => `create table ${name}_${table} as select * from ${table} where ${own(table)};`);
  await pool.query(`${lock}\n${kept.join('\n')}`);
  return async () => {
    const back = TABLES.filter((table) => table !== 'conversation');
    await pool.query(`${lock}
      ${back.map((table) => `delete from ${table} where ${own(table)};`).join('\n')}
      update conversation c set ${await assignments(pool)} from ${name}_conversation k where c.key = k.key;
      ${back.map((table) => `insert into ${table} overriding system value select * from ${name}_${table};`).join('\n')}`);
  };
}

/** Deletes a conversation with all its rows: as after the restore of a state in which there was no such conversation. */
export async function loseConversation(pool: pg.Pool, id: string): Promise<void> {
  await pool.query(
    TABLES.toReversed()
      .map((table) => `delete from ${table} where ${rowsOf(table, id)};`)
      .join('\n'),
  );
}

function rowsOf(table: string, id: string): string {
  return `${table === 'conversation' ? 'key' : 'conversation'} = (select key from conversation where id = '${id}')`;
}

/** All columns of `conversation c` that can be set, from `k`. */
async function assignments(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<{ list: string }>(
    `select string_agg(format('%I = k.%I', attname, attname), ', ') as list from pg_attribute
     where attrelid = 'conversation'::regclass and attnum > 0 and not attisdropped and attidentity = '' and attgenerated = ''
       and attname <> 'key'`,
  );
  return rows[0]?.list ?? '';
}
