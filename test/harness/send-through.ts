import type pg from 'pg';
import { ParleyClient, createHttp } from '../../client/index.ts';
import { createOpaque, newMessage } from '../../tools/harness/opaque.ts';
import { spend } from '../../tools/harness/wait-until.ts';

export interface Acknowledged {
  readonly conversation: string;
  readonly id: string;
  readonly seq: number;
}

/** Leaves the machine time to start processes. */
const PAUSE_MS = 25;

/** Senders that hardly pause, each in a conversation of its own. They try nothing twice. */
export interface Senders {
  readonly conversations: readonly string[];
  readonly answered: () => number;
  readonly stop: () => Promise<{
    readonly failures: readonly string[];
    readonly acknowledged: readonly Acknowledged[];
  }>;
}

/** @param url of the service, or of what stands before it */
export async function sendThrough(url: string, token: () => Promise<string>, senders: number): Promise<Senders> {
  const client = new ParleyClient(createHttp({ baseUrl: url, token, attempts: 1 }));
  const failures: string[] = [];
  const acknowledged: Acknowledged[] = [];
  let isOver = false;
  const conversations = await Promise.all(Array.from({ length: senders }, () => createOpaque(client)));
  const running = conversations.map(async (conversation) => {
    while (!isOver) {
      const message = newMessage();
      try {
        const { seq } = await client.send(conversation, message);
        acknowledged.push({ conversation, id: message.id, seq });
      } catch (error) {
        failures.push(String(error));
      }
      await spend(PAUSE_MS);
    }
  });
  return {
    conversations,
    answered: () => acknowledged.length,
    stop: async () => {
      isOver = true;
      await Promise.all(running);
      return { failures, acknowledged };
    },
  };
}

/** Messages that were acknowledged and are not in the log at that place. */
export async function findLost(pool: pg.Pool, acknowledged: readonly Acknowledged[]): Promise<readonly Acknowledged[]> {
  const { rows } = await pool.query<Acknowledged>(
    `select a.* from unnest($1::text[], $2::text[], $3::bigint[]) a (conversation, id, seq)
      where not exists (select from entry e join conversation c on c.key = e.conversation
        where c.id = a.conversation and e.message_id = a.id and e.seq = a.seq)`,
    [
      acknowledged.map(({ conversation }) => conversation),
      acknowledged.map(({ id }) => id),
      acknowledged.map(({ seq }) => seq),
    ],
  );
  return rows;
}
