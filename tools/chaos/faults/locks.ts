import pg from 'pg';
import { type Fault, type Injected, type Stage, pick } from '../fault.ts';

/** Locks rows as an operator does who forgot a transaction in psql. */
async function lock({ arena }: Stage, conversations: readonly string[]): Promise<Injected> {
  const session = new pg.Client({ connectionString: arena.databaseUrl });
  session.on('error', () => undefined);
  await session.connect();
  await session.query('begin');
  await session.query('select from parley.conversation where id = any ($1) order by key for update', [conversations]);
  return {
    what: `${conversations.length} rows`,
    affected: conversations,
    heal: async () => {
      await session.query('rollback');
      await session.end();
    },
  };
}

export const rowLocked: Fault = {
  name: 'row-locked',
  does: 'a session holds the row of one conversation for update',
  seconds: [17, 4],
  isShort: true,
  inject: (stage) => lock(stage, [pick(stage, stage.conversations)]),
};

export const rowsLocked: Fault = {
  name: 'rows-locked',
  does: 'a session holds the rows of all conversations but three for update',
  seconds: [17, 4],
  inject: (stage) => lock(stage, stage.conversations.slice(3)),
};
