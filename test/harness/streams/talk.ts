import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { base64 } from '../api/conversations.ts';

/** What users do in `opaque` conversations, over HTTP. */
export interface Talk {
  readonly create: (creator: string, ...members: string[]) => Promise<string>;
  /** @returns its seq */
  readonly say: (conversation: string, user: string, bytes?: number) => Promise<number>;
  /** Adds by a commit, with a Welcome. @returns its seq */
  readonly add: (conversation: string, by: string, ...users: string[]) => Promise<number>;
  readonly remove: (conversation: string, by: string, user: string) => Promise<number>;
  readonly ack: (user: string, device: string | undefined, positions: Record<string, number>) => Promise<void>;
  readonly expect: (what: string, user: string, body?: unknown) => Promise<Readonly<Record<string, unknown>>>;
}

export function makeTalk(service: InProcessApi): Talk {
  const ask = async (what: string, user: string, body?: unknown): Promise<Readonly<Record<string, unknown>>> => {
    const answer = await service.ask(what, body === undefined ? { user } : { user, body });
    if (answer.status >= 300) throw new Error(`${what}: ${answer.text}`);
    return answer.body;
  };
  return {
    create: async (creator, ...members) => {
      const id = randomBytes(18).toString('base64url');
      const policy = { externalJoin: 'nobody' };
      await ask('POST /v1/conversations', creator, { id, protocol: 'opaque', members, policy });
      return id;
    },
    say: async (conversation, user, bytes = 20) => {
      const message = { id: randomUUID(), ciphertext: base64(randomBytes(bytes)) };
      const { results } = (await ask(`POST /v1/conversations/${conversation}/messages`, user, message)) as {
        results: { seq: number }[];
      };
      return results[0]?.seq ?? 0;
    },
    add: async (conversation, by, ...users) => {
      const body = { commit: base64(randomBytes(10)), adds: users, welcome: base64('welcome') };
      return Number((await ask(`POST /v1/conversations/${conversation}/commits`, by, body)).seq);
    },
    remove: async (conversation, by, user) =>
      Number((await ask(`DELETE /v1/conversations/${conversation}/members/${user}`, by, {})).seq),
    ack: async (user, device, positions) => {
      const headers = { authorization: `Bearer ${await tokenOf(user, { device })}` };
      const answer = await service.ask('POST /v1/ack', { body: { positions }, headers });
      if (answer.status !== 200) throw new Error(answer.text);
    },
    expect: ask,
  };
}

/** What retention does: entries before `oldest` are gone. */
export async function truncate(pool: pg.Pool, conversation: string, oldest: number): Promise<void> {
  await pool.query(
    `with c as (update conversation set oldest_seq = $2 where id = $1 returning key)
     delete from entry e using c where e.conversation = c.key and e.seq < $2`,
    [conversation, oldest],
  );
}
