import type pg from 'pg';
import type { Answer } from '../../tools/harness/answer.ts';
import type { InProcessApi } from '../../tools/harness/in-process-api.ts';
import { base64, newConversationId } from './api/conversations.ts';

/** What tests of inboxes ask of a service. */

/** Records that users have acted in a conversation: sent something, or taken up a Welcome. */
export async function act(pool: pg.Pool, conversation: string, ...users: string[]): Promise<void> {
  await pool.query(
    `update member m set proven_at = clock_timestamp() from conversation c
     where c.key = m.conversation and c.id = $1 and m.user_id = any ($2)`,
    [conversation, users],
  );
}

/** Asks to create an opaque conversation with these members. */
export async function create(
  service: InProcessApi,
  creator: string,
  members: readonly string[] = [],
  policy: object = {},
): Promise<{ readonly id: string; readonly answer: Answer }> {
  const id = newConversationId();
  const body = { id, protocol: 'opaque', members, policy };
  return { id, answer: await service.ask('POST /v1/conversations', { user: creator, body }) };
}

/** Creates an opaque conversation of its creator, and asks to add a user with a Welcome of so many bytes. */
export async function invite(
  service: InProcessApi,
  inviter: string,
  user: string,
  bytes = 10,
): Promise<{ readonly id: string; readonly answer: Answer }> {
  const { id } = await create(service, inviter);
  const body = { users: [user], commit: base64('commit'), welcome: base64(Buffer.alloc(bytes, 1)) };
  return { id, answer: await service.ask(`POST /v1/conversations/${id}/members`, { user: inviter, body }) };
}

/** Ids of the conversations whose Welcomes wait for a user. */
export async function inbox(service: InProcessApi, user: string): Promise<string[]> {
  const found: string[] = [];
  for (let cursor: string | undefined; ;) {
    const query = cursor === undefined ? '' : `?cursor=${cursor}`;
    const { body } = await service.ask(`GET /v1/welcomes${query}`, { user });
    found.push(...(body.welcomes as { conversation: string }[]).map(({ conversation }) => conversation));
    if ((cursor = body.next as string | undefined) === undefined) return found;
  }
}

/** Bytes of all Welcomes that wait for a user. */
export async function inboxBytes(pool: pg.Pool, user: string): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(
    `select coalesce(sum(size), 0)::int as bytes from welcome where user_id = $1 and expires_at > clock_timestamp()`,
    [user],
  );
  return rows[0]?.bytes ?? 0;
}
