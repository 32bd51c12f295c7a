import type pg from 'pg';
import type { Policy } from '../../domain/policy.ts';
import type { ImportedMember } from './members.ts';
import type { EntryNumbers } from './numbering.ts';
import { type Place, firstSeq } from './stays.ts';

/** An entry of the log. */
export interface ImportedEntry extends EntryNumbers {
  readonly kind: 'application' | 'commit';
  readonly messageId: string;
  readonly sender: string | null;
  readonly bytes: Buffer;
}

/** A Welcome of the entry `seq`. */
export interface ImportedWelcome {
  readonly user: string;
  /** '' = every device of the user. */
  readonly device: string;
  readonly seq: number;
  readonly epoch: number;
  readonly bytes: Buffer;
  readonly inviter: string;
}

/** Everything of a conversation but its entries. */
export interface ImportedConversation {
  readonly epoch: number;
  readonly end: Place;
  readonly policy: Policy;
  readonly creator: string;
  readonly createdAt: Date;
  /** Milliseconds since 1970; of the newest entry, or of the creation. */
  readonly lastAt: number;
  readonly members: readonly ImportedMember[];
  readonly welcomes: readonly ImportedWelcome[];
}

const TABLES = [
  'entry',
  'change',
  'welcome',
  'welcome_body',
  'period',
  'member',
  'race',
  'device_position',
  'proof',
  'operation',
];

/** Removes what an earlier import wrote. The caller holds the lock of the conversation. */
export async function removeConversation(client: pg.PoolClient, key: number): Promise<void> {
  for (const table of TABLES) await client.query(`delete from ${table} where conversation = $1`, [key]);
  await client.query('delete from conversation where key = $1', [key]);
}

/** Makes the row. @returns its key; undefined when the id is in use */
export async function beginConversation(client: pg.PoolClient, id: string): Promise<number | undefined> {
  const { rows } = await client.query<{ key: number }>(
    `insert into conversation (id, protocol, epoch, member_count, policy, created_by, fingerprint)
     values ($1, 'opaque', 0, 0, '{}', '', sha256(convert_to('import ' || $1, 'UTF8')))
     on conflict (id) do nothing returning key`,
    [id],
  );
  return rows[0]?.key;
}

/** Writes entries. A commit has the fingerprint of one without adds and removes, which the original does not store. */
export async function writeEntries(
  client: pg.PoolClient,
  key: number,
  entries: readonly ImportedEntry[],
): Promise<void> {
  await client.query({
    name: 'import-entries',
    text: `insert into entry (conversation, seq, kind, epoch, message_id, sha256, ciphertext, sender, app_count, fingerprint, at)
      select $1, e.seq, e.kind, e.epoch, e.message_id, h.sha256, e.bytes, e.sender, e.app_count, case when e.kind = 'commit'
        then commit_fingerprint(jsonb_build_object('sha256', encode(h.sha256, 'hex')), '{}', '{}') end, e.at
      from unnest($2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::bytea[], $7::text[], $8::bigint[], $9::timestamptz[])
        as e (seq, kind, epoch, message_id, bytes, sender, app_count, at), lateral (select sha256(e.bytes) as sha256 offset 0) h`,
    values: [
      key,
      entries.map(({ seq }) => seq),
      entries.map(({ kind }) => kind),
      entries.map(({ epoch }) => epoch),
      entries.map(({ messageId }) => messageId),
      entries.map(({ bytes }) => bytes),
      entries.map(({ sender }) => sender),
      entries.map(({ appCount }) => appCount),
      entries.map(({ at }) => new Date(at)),
    ],
  });
}

/** Writes the rest, after the entries, and compares what is stored with what was meant. @throws Error when they differ */
export async function endConversation(client: pg.PoolClient, key: number, from: ImportedConversation): Promise<void> {
  await writeMembers(client, key, from);
  await writeChanges(client, key, from);
  await writeWelcomes(client, key, from.welcomes);
  const memberCount = from.members.filter(({ left }) => left === null).length;
  await client.query(
    `update conversation set epoch = $2, last_seq = $3, app_count = $4, last_commit_seq = $5, member_count = $6, policy = $7,
       created_at = $8, last_at = $9, created_by = $10, abandoned_at = case when $6 = 0 then clock_timestamp() end,
       due_at = least(case when $6 = 0 then clock_timestamp() + interval '30 days' end,
         case when $7::jsonb ? 'retentionDays' then clock_timestamp() end,
         (select min(expires_at) from welcome where conversation = $1))
     where key = $1`,
    [
      key,
      from.epoch,
      from.end.seq,
      from.end.count,
      from.end.commitSeq,
      memberCount,
      JSON.stringify(from.policy),
      from.createdAt,
      new Date(from.lastAt),
      from.creator,
    ],
  );
  await verify(client, key, from, memberCount);
}

async function writeMembers(
  client: pg.PoolClient,
  key: number,
  { members, policy }: ImportedConversation,
): Promise<void> {
  const time = (ms: number | null): Date | null => (ms === null ? null : new Date(ms));
  await client.query(
    `insert into member (conversation, user_id, role, joined_seq, joined_epoch, left_seq, left_epoch, left_at, left_policy,
       read_seq, read_count, proven_at)
     select $1, m.user_id, m.role, m.joined_seq, m.joined_epoch, m.left_seq, m.left_epoch, m.left_at,
       case when m.left_seq is not null then $2::jsonb end, m.read_seq, m.read_count, m.proven_at
     from unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::timestamptz[],
         $10::bigint[], $11::bigint[], $12::timestamptz[])
       as m (user_id, role, joined_seq, joined_epoch, left_seq, left_epoch, left_at, read_seq, read_count, proven_at)`,
    [
      key,
      JSON.stringify(policy),
      members.map(({ user }) => user),
      members.map(({ isAdmin }) => (isAdmin ? 'admin' : 'member')),
      members.map(({ joined }) => joined.commitSeq),
      members.map(({ joined }) => joined.epoch),
      members.map(({ left }) => left?.seq ?? null),
      members.map(({ left }) => left?.epoch ?? null),
      members.map(({ leftAt }) => time(leftAt)),
      members.map(({ read }) => read.seq),
      members.map(({ read }) => read.count),
      members.map(({ provenAt }) => time(provenAt)),
    ],
  );
  const periods = members.flatMap(({ user, periods: all }) => all.map((period) => ({ user, ...period })));
  await client.query(
    `insert into period (conversation, user_id, from_seq, to_seq)
     select $1, p.* from unnest($2::text[], $3::bigint[], $4::bigint[]) p`,
    [
      key,
      periods.map(({ user }) => user),
      periods.map(({ joined }) => firstSeq(joined)),
      periods.map(({ left }) => left?.seq ?? null),
    ],
  );
}

/** Who came and went, for streams that start in the past. */
async function writeChanges(client: pg.PoolClient, key: number, { members }: ImportedConversation): Promise<void> {
  const changes = members.flatMap(({ user, periods }) =>
    periods.flatMap(({ joined, left }) => [
      { user, seq: joined.commitSeq, kind: 'added' },
      ...(left === null ? [] : [{ user, seq: left.seq, kind: 'removed' }]),
    ]),
  );
  await client.query(
    `insert into change (conversation, seq, kind, data)
     select $1, c.seq, c.kind, jsonb_build_object('users', jsonb_agg(c.user_id order by c.user_id))
     from unnest($2::bigint[], $3::text[], $4::text[]) as c (seq, kind, user_id) group by c.seq, c.kind order by c.seq, c.kind desc`,
    [key, changes.map(({ seq }) => seq), changes.map(({ kind }) => kind), changes.map(({ user }) => user)],
  );
}

async function writeWelcomes(client: pg.PoolClient, key: number, welcomes: readonly ImportedWelcome[]): Promise<void> {
  for (const { user, device, seq, epoch, bytes, inviter } of welcomes) {
    await client.query({
      name: 'import-welcome',
      text: `with body as (
          insert into welcome_body (conversation, seq, welcome) values ($1, $2, $3) on conflict (conversation, seq) do nothing)
        insert into welcome (conversation, user_id, device_id, seq, epoch, inviter, size)
        values ($1, $4, $5, $2, $6, $7, octet_length($3::bytea))`,
      values: [key, seq, bytes, user, device, epoch, inviter],
    });
  }
}

async function verify(
  client: pg.PoolClient,
  key: number,
  { end, epoch, welcomes }: ImportedConversation,
  memberCount: number,
): Promise<void> {
  const { rows } = await client.query<Record<string, number>>(
    `select count(*) as entries, count(*) filter (where kind = 'application') as messages, coalesce(max(seq), 0) as "lastSeq",
       coalesce(max(epoch + 1) filter (where kind = 'commit'), $2) as epoch,
       (select count(*) from member where conversation = $1 and left_seq is null) as members,
       (select count(*) from welcome where conversation = $1) as welcomes
     from entry where conversation = $1`,
    [key, epoch],
  );
  const stored = JSON.stringify(rows[0]);
  const meant = JSON.stringify({
    entries: end.seq,
    messages: end.count,
    lastSeq: end.seq,
    epoch,
    members: memberCount,
    welcomes: welcomes.length,
  });
  if (stored !== meant) throw new Error(`Stored ${stored}, but the original has ${meant}`);
}
