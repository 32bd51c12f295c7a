import { expect, test } from 'vitest';
import { useDatabase } from '../../harness/database.ts';
import { send, startConversation } from '../../harness/requests.ts';

const database = useDatabase();

interface Row {
  readonly seq: number;
  readonly kind: string;
  readonly epoch: number;
  readonly id: string;
}

/** What a caller that does not go through the deciding transaction might write. */
async function insert(conversation: string, row: Row): Promise<unknown> {
  return database().pool.query(
    `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, app_count, at)
     select key, $2, $3, $4, $5, '', '', 0, now() from conversation where id = $1`,
    [conversation, row.seq, row.kind, row.epoch, row.id],
  );
}

test.each<{ invariant: string; row: Row; key: string }>([
  {
    invariant: 'invariant 1: a seq cannot be given twice',
    row: { seq: 2, kind: 'application', epoch: 1, id: 'new' },
    key: 'entry_pkey',
  },
  {
    invariant: 'invariant 2: an epoch cannot be ended twice',
    row: { seq: 3, kind: 'commit', epoch: 0, id: 'new' },
    key: 'entry_commit_epoch',
  },
  {
    invariant: 'invariant 3: a message id cannot be stored twice',
    row: { seq: 3, kind: 'application', epoch: 1, id: 'm' },
    key: 'entry_message_id',
  },
])('$invariant, even by a caller with a bug', async ({ row, key }) => {
  const conversation = await startConversation(database().pool);
  await send(database().pool, conversation, [
    { kind: 'commit', id: 'c', actor: 'alice', body: 'commit', epoch: 0 },
    { kind: 'message', id: 'm', actor: 'alice', body: 'text', epoch: 1 },
  ]);
  await expect(insert(conversation, row)).rejects.toMatchObject({ code: '23505', constraint: key });
  await insert(conversation, { seq: 3, kind: 'application', epoch: 0, id: 'new' });
});

test('another conversation may use the same message ids and epochs', async () => {
  for (let i = 0; i < 2; i++) {
    const conversation = await startConversation(database().pool);
    const { outcomes } = await send(database().pool, conversation, [
      { kind: 'message', id: 'm', actor: 'alice', body: 'text', epoch: 0 },
      { kind: 'commit', id: 'c', actor: 'alice', body: 'commit', epoch: 0 },
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['accepted', 'accepted']);
  }
});
