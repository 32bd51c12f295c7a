import pLimit from 'p-limit';
import type pg from 'pg';
import { createHash } from 'node:crypto';
import { base64url } from '../../domain/ids.ts';
import { MAX_MEMBERS_LIMIT } from '../../domain/limits.ts';
import { makePolicy } from '../../domain/policy.ts';
import { createConversation } from '../../store/conversation/conversations.ts';
import { MESSAGE_BYTES } from './messages.ts';
import { userName } from './tokens.ts';

/** One user may put others into so many conversations at once, and some more (`MAX_UNKNOWN_INVITATIONS`). */
const BELOW_QUOTA = 250;
/** Number of conversations that are made at the same time. */
const PARALLEL = 8;
/** Number of entries of one insert. It must stay below the statement timeout of the pool. */
const STEP = 10_000;

/** The id of a conversation with this name: base64url, the same in every run. */
export function conversationId(name: string): string {
  return base64url(createHash('sha256').update(name).digest().subarray(0, 16));
}

/** An opaque conversation with `members` users, beginning at user number `from`. The first one is its creator. */
export interface SeedConversation {
  readonly id: string;
  readonly members: number;
  /** @default 0 */
  readonly from?: number;
}

/**
 * Makes conversations with the function of the service, without HTTP, because making them is not measured.
 * @throws Error when one of them is refused
 */
export async function seedConversations(pool: pg.Pool, conversations: readonly SeedConversation[]): Promise<void> {
  const make = async ({ id, members, from = 0 }: SeedConversation): Promise<void> => {
    const result = await createConversation(pool, {
      id,
      protocol: 'opaque',
      epoch: 0,
      creator: userName(from),
      members: Array.from({ length: members }, (_, number) => userName(from + number)),
      policy: makePolicy({ maxMembers: MAX_MEMBERS_LIMIT }, { epochWindow: 2 }),
      fingerprint: createHash('sha256').update(id).digest(),
    });
    if (result !== 'created') throw new Error(`A conversation was not made: ${JSON.stringify(result)}`);
  };
  for (let done = 0; done < conversations.length; done += BELOW_QUOTA) {
    await pLimit(PARALLEL).map(conversations.slice(done, done + BELOW_QUOTA), make);
    // The quota of invitations is for strangers, and a user may be in thousands of conversations here.
    await pool.query('delete from invitation');
  }
}

/** Fills the log of a conversation as if user 0 had sent `entries` messages. */
export async function seedEntries(pool: pg.Pool, id: string, entries: number): Promise<void> {
  for (let from = 1; from <= entries; from += STEP) {
    await pool.query(
      `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, at, chain)
       select c.key, n, 'application', 0, 'seed-' || n, sha256(b.bytes), b.bytes, c.created_by, n, clock_timestamp(),
         chain_over(c.chain, chain_part(n, 'application', 0, sha256(b.bytes))) over (order by n)
       from conversation c, generate_series($2::bigint, $3) n,
         lateral (select decode(repeat(encode(sha256(int8send(n)), 'hex'), $4::int / 32), 'hex') as bytes) b
       where c.id = $1`,
      [id, from, Math.min(from + STEP - 1, entries), MESSAGE_BYTES],
    );
    await pool.query(
      `update conversation c set chain = e.chain from entry e where c.id = $1 and e.conversation = c.key and e.seq = $2`,
      [id, Math.min(from + STEP - 1, entries)],
    );
  }
  await pool.query(
    `with c as (update conversation set last_seq = $2, app_count = $2 where id = $1 returning key, created_by)
     update member m set read_seq = $2, read_count = $2 from c where m.conversation = c.key and m.user_id = c.created_by`,
    [id, entries],
  );
}
