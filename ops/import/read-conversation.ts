import type pg from 'pg';
import type { LogFacts } from './numbering.ts';
import type { Original } from './original.ts';

/** A conversation of the original, without its messages. */
export interface OriginalConversation {
  readonly id: string;
  readonly groupId: string | null;
  readonly creator: string;
  readonly createdAt: Date;
  /** Changes with everything that is imported: an import with the same stamp would write the same again. */
  readonly stamp: string;
  readonly log: LogFacts & LogFaults;
  readonly members: readonly OriginalMember[];
  readonly welcomes: readonly OriginalWelcome[];
  /** Of `conversation_policy`. */
  readonly maxMembers: number | null;
  readonly keepsLastAdmin: boolean;
}

/** What is wrong with the numbers of a log, in rows. */
export interface LogFaults {
  /** Commits whose epoch another commit has too. */
  readonly duplicateEpochs: number;
  /** Epochs between the first commit and the current epoch that no commit has. */
  readonly missingEpochs: number;
  /** Rows whose seq another row has too, or that have none. */
  readonly duplicateSeqs: number;
  /** Numbers between the first and the last seq that no row has. */
  readonly missingSeqs: number;
  /** Messages whose time is over. The original hides them. */
  readonly expired: number;
}

/** One row of `members`: a user, or a device of one. */
export interface OriginalMember {
  readonly did: string;
  readonly user: string | null;
  readonly device: string | null;
  readonly joinedAt: Date;
  readonly leftAt: Date | null;
  readonly isAdmin: boolean;
  readonly lastReadAt: Date | null;
}

/** A Welcome that nobody has fetched yet. */
export interface OriginalWelcome {
  readonly recipient: string;
  readonly bytes: Buffer;
  readonly createdBy: string | null;
  readonly createdAt: Date;
}

/** Rows of `messages m` that are carried: the original hides messages whose time is over. Commits stay, the group needs them. */
export function isCarried(original: Original): string {
  const expires = original.column('messages', 'expires_at', 'null::timestamptz');
  return `(message_type = 'commit' or ${expires} is null or ${expires} > now())`;
}

/** Ids of the conversations after `after`, in order. */
export async function listConversations(original: Original, after: string, limit: number): Promise<string[]> {
  const { rows } = await original.pool.query<{ id: string }>(
    `select id::text as id from conversations where id::text > $1 order by id::text limit $2`,
    [after, limit],
  );
  return rows.map(({ id }) => id);
}

/**
 * Reads a conversation, within the snapshot of `client`.
 * @returns undefined when it is gone
 */
export async function readConversation(
  original: Original,
  client: pg.PoolClient,
  id: string,
): Promise<OriginalConversation | undefined> {
  const { column, hasTable } = original;
  const {
    rows: [row],
  } = await client.query<{ groupId: string | null; creator: string; createdAt: Date; currentEpoch: number }>(
    `select ${column('conversations', 'group_id')} as "groupId", creator_did as creator, created_at as "createdAt",
       current_epoch::float8 as "currentEpoch" from conversations where id = $1`,
    [id],
  );
  if (row === undefined) return undefined;
  const { currentEpoch, ...rest } = row;
  const log = await readLogFacts(original, client, id, currentEpoch);
  const members = await client.query<OriginalMember>(
    `select member_did as did, ${column('members', 'user_did')} as "user", ${column('members', 'device_id')} as device,
       joined_at as "joinedAt", left_at as "leftAt", coalesce(${column('members', 'is_admin', 'false')}, false) as "isAdmin",
       ${column('members', 'last_read_at', 'null::timestamptz')} as "lastReadAt"
     from members where convo_id = $1 order by joined_at, member_did`,
    [id],
  );
  const consumed = column('welcome_messages', 'consumed', 'false');
  const welcomes = hasTable('welcome_messages')
    ? await client.query<OriginalWelcome>(
        `select recipient_did as recipient, welcome_data as bytes, ${column('welcome_messages', 'created_by_did')} as "createdBy",
           created_at as "createdAt" from welcome_messages
         where convo_id = $1 and not coalesce(${consumed}, false) order by created_at, id`,
        [id],
      )
    : { rows: [] };
  const policies = hasTable('conversation_policy')
    ? await client.query<{ maxMembers: number | null; keepsLastAdmin: boolean }>(
        `select ${column('conversation_policy', 'max_members')}::int as "maxMembers",
           coalesce(${column('conversation_policy', 'prevent_removing_last_admin', 'false')}, false) as "keepsLastAdmin"
         from conversation_policy where convo_id = $1`,
        [id],
      )
    : { rows: [] };
  const { maxMembers, keepsLastAdmin } = policies.rows[0] ?? { maxMembers: null, keepsLastAdmin: false };
  const { stamp, ...facts } = log;
  return {
    id,
    ...rest,
    log: facts,
    members: members.rows,
    welcomes: welcomes.rows,
    maxMembers,
    keepsLastAdmin,
    stamp: JSON.stringify([stamp, currentEpoch, members.rows, welcomes.rows.map((w) => [w.recipient, w.createdAt])]),
  };
}

type FactsRow = Readonly<
  Record<'messages' | 'commits' | 'expired' | 'first' | 'last' | 'epochs' | 'seqs' | 'span' | 'all', number>
> & { readonly stamp: string };

async function readLogFacts(
  original: Original,
  client: pg.PoolClient,
  id: string,
  currentEpoch: number,
): Promise<LogFacts & LogFaults & { readonly stamp: string }> {
  const seq = original.column('messages', 'seq', '0');
  const { rows } = await client.query<FactsRow>(
    `select count(*) filter (where carried)::float8 as messages, count(*) filter (where is_commit)::float8 as commits,
       count(*) filter (where not carried)::float8 as expired,
       coalesce(min(epoch) filter (where is_commit), 0)::float8 as first,
       coalesce(max(epoch) filter (where is_commit), 0)::float8 as last,
       count(distinct epoch) filter (where is_commit)::float8 as epochs,
       count(distinct seq) filter (where seq > 0)::float8 as seqs,
       coalesce(max(seq) - min(seq) filter (where seq > 0) + 1, 0)::float8 as span, count(*)::float8 as "all",
       concat_ws(' ', count(*), max(created_at), count(*) filter (where carried)) as stamp
     from (select message_type = 'commit' as is_commit, ${isCarried(original)} as carried, epoch, ${seq}::bigint as seq, created_at
           from messages where convo_id = $1) m`,
    [id],
  );
  const [facts] = rows;
  if (facts === undefined) throw new Error('A count without a row');
  const { stamp, messages, commits, expired, first, last, epochs, seqs, span, all } = facts;
  return {
    stamp,
    messages,
    commits,
    currentEpoch,
    firstCommitEpoch: first,
    duplicateEpochs: commits - epochs,
    missingEpochs: commits === 0 ? 0 : Math.max(currentEpoch, last) - first + 1 - epochs,
    duplicateSeqs: all - seqs,
    missingSeqs: Math.max(0, span - seqs),
    expired,
  };
}
