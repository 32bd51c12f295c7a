import type pg from 'pg';
import { createHash } from 'node:crypto';
import { bytesOf } from '../load/messages.ts';
import type { Acknowledged } from './sender.ts';

/** Rows of one look into the log. */
const STEP = 5000;
/** Problems shown of each kind; the rest is counted. */
const SHOWN = 5;

/**
 * Compares the log with what was acknowledged, by SQL. Every acknowledged message must be in the log once, at its seq and
 * with its own bytes; each log is dense from 1; nothing else is in it.
 * @returns one line for each problem
 */
export async function checkLog(
  pool: pg.Pool,
  conversations: readonly string[],
  acknowledged: readonly Acknowledged[],
): Promise<string[]> {
  const wrong: string[] = [];
  for (let from = 0; from < acknowledged.length; from += STEP) {
    wrong.push(...(await findWrong(pool, acknowledged.slice(from, from + STEP))));
  }
  const perConversation = new Map<string, number>();
  for (const { conversation } of acknowledged) {
    perConversation.set(conversation, (perConversation.get(conversation) ?? 0) + 1);
  }
  const uneven = await findUneven(pool, conversations, perConversation);
  return [...limited(wrong), ...limited(uneven)];
}

async function findWrong(pool: pg.Pool, acknowledged: readonly Acknowledged[]): Promise<string[]> {
  const { rows } = await pool.query<{ id: string; seq: number; found: number | null; same: boolean | null }>(
    `select a.id, a.seq, e.seq as found, sha256(e.ciphertext) = decode(a.sha256, 'hex') as same
     from unnest($1::text[], $2::text[], $3::bigint[], $4::text[]) as a (conversation, id, seq, sha256)
     join conversation c on c.id = a.conversation
     left join entry e on e.conversation = c.key and e.message_id = a.id
     where e.seq is distinct from a.seq or sha256(e.ciphertext) is distinct from decode(a.sha256, 'hex')`,
    [
      acknowledged.map(({ conversation }) => conversation),
      acknowledged.map(({ id }) => id),
      acknowledged.map(({ seq }) => seq),
      acknowledged.map(({ id }) => createHash('sha256').update(bytesOf(id)).digest('hex')),
    ],
  );
  return rows.map(({ id, seq, found, same }) =>
    found === null
      ? `lost: ${id}, acknowledged as ${seq}`
      : same === true
        ? `moved: ${id}, acknowledged as ${seq}, stands at ${found}`
        : `changed: ${id} at ${found} has other bytes`,
  );
}

async function findUneven(
  pool: pg.Pool,
  conversations: readonly string[],
  acknowledged: ReadonlyMap<string, number>,
): Promise<string[]> {
  const { rows } = await pool.query<Record<'lastSeq' | 'count' | 'first' | 'last' | 'bodies', number> & { id: string }>(
    `select c.id, c.last_seq as "lastSeq", count(e.seq) as count, coalesce(min(e.seq), 1) as first,
       coalesce(max(e.seq), 0) as last, count(distinct e.sha256) as bodies
     from conversation c left join entry e on e.conversation = c.key
     where c.id = any($1) group by c.key`,
    [conversations],
  );
  return rows.flatMap(({ id, lastSeq, count, first, last, bodies }) => {
    const expected = acknowledged.get(id) ?? 0;
    const isDense = first === 1 && last === count && lastSeq === count && bodies === count;
    if (isDense && count === expected) return [];
    return [
      `${id}: ${count} entries from ${first} to ${last}, ${bodies} bodies, last seq ${lastSeq}, acknowledged ${expected}`,
    ];
  });
}

function limited(problems: readonly string[]): string[] {
  if (problems.length <= SHOWN) return [...problems];
  return [...problems.slice(0, SHOWN), `.. and ${problems.length - SHOWN} more`];
}
