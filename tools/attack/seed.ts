import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { type PolicyChange, makePolicy } from '../../domain/policy.ts';
import { createConversation } from '../../store/conversation/conversations.ts';

/** A conversation that is there before the attack begins; the first of `users` is its admin. @returns its id */
export async function seedConversation(
  pool: pg.Pool,
  users: readonly string[],
  given: {
    readonly protocol?: 'mls' | 'opaque';
    readonly policy?: PolicyChange;
    readonly groupInfo?: Uint8Array;
    readonly id?: string;
  } = {},
): Promise<string> {
  const { protocol = 'opaque', policy = {}, groupInfo, id = newGroupId() } = given;
  await createConversation(pool, {
    id,
    protocol,
    epoch: 0,
    creator: users[0] ?? 'creator',
    members: users,
    policy: makePolicy({ externalJoin: 'nobody', ...policy }, { epochWindow: 2 }),
    fingerprint: randomBytes(32),
    ...(groupInfo === undefined ? {} : { groupInfo }),
  });
  return id;
}

/** An id that no conversation has. */
export function newGroupId(): string {
  return randomBytes(16).toString('base64url');
}

/** Fills a log with application entries of so many bytes. */
export async function seedEntries(pool: pg.Pool, id: string, entries: number, size: number): Promise<void> {
  await pool.query(
    `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at, chain)
     select c.key, n, 'application', 0, 'seed-' || n, sha256(int8send(n)), decode(repeat('5a', $3), 'hex'), c.created_by, n,
       clock_timestamp(), chain_over(c.chain, chain_part(n, 'application', 0, sha256(int8send(n)))) over (order by n)
     from conversation c, generate_series(1::bigint, $2) n where c.id = $1`,
    [id, entries, size],
  );
  await pool.query(
    `update conversation c set last_seq = $2, app_count = $2, chain = e.chain from entry e
     where c.id = $1 and e.conversation = c.key and e.seq = $2`,
    [id, entries],
  );
}
