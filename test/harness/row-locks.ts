import pg from 'pg';

/** Locks the rows of conversations as an operator's session may. @returns a function that releases them; it may be called twice */
export async function holdRows(databaseUrl: string, conversations: readonly string[]): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query('begin');
  await client.query('select from parley.conversation where id = any($1) order by key for update', [conversations]);
  let released: Promise<void> | undefined;
  return () => (released ??= client.end());
}
