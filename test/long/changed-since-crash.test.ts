import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startPostgres } from '../../local/postgres.ts';
import { packageRoot } from '../../process/package-root.ts';
import { listChangedConversations } from '../../store/conversation/lists.ts';
import { migrate, readSchema } from '../../store/migrate.ts';
import { makePool } from '../../store/pool.ts';
import { useFolder } from '../harness/folder.ts';
import { sendOne, startConversation } from '../harness/requests.ts';

const folder = useFolder();

/** PostgreSQL gives a transaction id once more after a crash, if nothing of its transaction had been flushed. */
test(
  'a crash of the database makes no change fall below a horizon that a client keeps',
  { timeout: 120_000 },
  async () => {
    const dataDir = path.join(folder, 'data');
    const start = async () => {
      const server = await startPostgres({ dataDir, say: () => undefined });
      const pool = makePool({ url: server.url(), max: 4, name: 'test' });
      pool.on('error', () => undefined);
      return { server, pool };
    };
    const before = await start();
    await migrate(before.pool, await readSchema(path.join(packageRoot(), 'store')));
    const conversation = await startConversation(before.pool, {
      protocol: 'opaque',
      creator: 'alice',
      members: ['bob'],
    });
    await before.pool.query(`alter system set wal_writer_delay = '10s'`);
    await before.pool.query('select pg_reload_conf()');
    const client = await before.pool.connect();
    await client.query('checkpoint');
    // Staged bytes are committed like this.
    await client.query('set synchronous_commit = off');
    for (let i = 0; i < 50; i++) await client.query('select pg_current_xact_id()');
    client.release(true);
    const { end } = await listChangedConversations(before.pool, 'bob', { since: undefined }, 100);
    await before.server.kill9();
    await before.pool.end().catch(() => undefined);

    const after = await start();
    onTestFinished(async () => {
      await after.pool.end();
      await after.server.stop();
    });
    const message = { kind: 'message', id: 'm', actor: 'alice', body: 'm', epoch: 0 } as const;
    expect(await sendOne(after.pool, conversation, message)).toMatchObject({ status: 'accepted' });
    const changed = await listChangedConversations(after.pool, 'bob', { since: end }, 100);
    expect([changed.beginsFull, changed.conversations.map(({ lastSeq }) => lastSeq)]).toEqual([false, [1]]);
  },
);
