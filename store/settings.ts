import type pg from 'pg';

/** Reads a setting that operators can change at run time. @returns `undefined` when nobody has changed it */
export async function readSetting(pool: pg.Pool, name: string): Promise<unknown> {
  const { rows } = await pool.query<{ value: unknown }>({
    name: 'read-setting',
    text: 'select value from setting where name = $1',
    values: [name],
  });
  return rows[0]?.value;
}

/** Changes a setting for all processes. They see it with the next notification, or else with their next poll. */
export async function writeSetting(pool: pg.Pool, name: string, value: unknown): Promise<void> {
  await pool.query(
    `insert into setting (name, value) values ($1, $2)
     on conflict (name) do update set value = excluded.value, updated_at = clock_timestamp()`,
    [name, JSON.stringify(value)],
  );
}
