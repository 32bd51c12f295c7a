import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { type SentMessage, compareWithLog } from '../../../tools/bench/ledger.ts';
import { storeAlone } from '../../../tools/bench/contenders/single-writer/statement.ts';
import { conversationId, seedConversations } from '../../../tools/load/seed.ts';
import { useDatabase } from '../../harness/database.ts';

const database = useDatabase();

test('lost messages, gaps and read positions that are behind are counted', async () => {
  const { pool, url } = database();
  const conversation = conversationId('ledger');
  await seedConversations(pool, [{ id: conversation, members: 3 }]);
  const sent: SentMessage[] = [];
  for (const sender of [0, 1, 2]) {
    sent.push({ sender, id: `m${sender}`, conversation, seq: await store(conversation, sender) });
  }
  expect(await compareWithLog(url, sent)).toEqual({
    values: { acknowledged: 3, lost: 0, doubled: 0, gaps: 0, positionsBehind: 0 },
    broken: [],
  });

  await pool.query('update member set read_seq = 0, read_count = 0 where user_id = $1', ['user-1']);
  const unanswered = { sender: 1, id: 'never answered', conversation };
  const { values } = await compareWithLog(url, [...sent, unanswered]);
  expect(values).toMatchObject({ acknowledged: 3, lost: 0, positionsBehind: 1 });

  await pool.query('delete from entry where message_id = $1', ['m1']);
  const found = await compareWithLog(url, sent);
  expect(found.values).toMatchObject({ lost: 1, gaps: 1 });
  expect(found.broken.join('\n')).toMatch(/1 acknowledged messages are lost[^]*invariant 1, seq-dense/);

  async function store(id: string, sender: number): Promise<number> {
    const ciphertext = Buffer.from(`${sender}`);
    const sha256 = createHash('sha256').update(ciphertext).digest('hex');
    const command = {
      kind: 'message',
      conversation: id,
      user: `user-${sender}`,
      id: `m${sender}`,
      sha256,
      ciphertext,
    } as const;
    const outcome = await storeAlone(pool, command);
    return outcome.status === 'refused' || !('seq' in outcome) ? 0 : outcome.seq;
  }
});
