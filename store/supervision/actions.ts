import type pg from 'pg';
import { type Row, integer, object, orNull, text, time } from '../row.ts';

/** Who acts, in the audit trail. */
export const SUPERVISOR = 'supervisor';

/** An action of the supervisor. */
export interface SupervisorAction {
  /** Id of the conversation; absent = it is about many. */
  readonly conversation?: string | undefined;
  readonly action: string;
  readonly reason: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A stored action. */
export interface StoredAction extends SupervisorAction {
  readonly at: Date;
}

/** Writes actions into the audit trail, with one statement. */
export async function writeActions(pool: pg.Pool, actions: readonly SupervisorAction[]): Promise<void> {
  if (actions.length === 0) return;
  await pool.query({
    name: 'write-supervisor-actions',
    text: `insert into audit (conversation, actor, action, details)
      select conversation, '${SUPERVISOR}', action, details from unnest($1::text[], $2::text[], $3::jsonb[]) as a (conversation, action, details)`,
    values: [
      actions.map(({ conversation }) => conversation ?? null),
      actions.map(({ action }) => action),
      actions.map(({ reason, details }) => JSON.stringify({ reason, ...details })),
    ],
  });
}

const COLUMNS = 'conversation, at, action, details';

/** The newest actions, the newest first. */
export async function listActions(pool: pg.Pool, limit: number): Promise<StoredAction[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-supervisor-actions',
    text: `select ${COLUMNS} from audit where actor = '${SUPERVISOR}' order by key desc limit $1`,
    values: [limit],
  });
  return rows.map(parseAction);
}

/** An action about one conversation, with its number in the audit trail. */
export interface NumberedAction extends StoredAction {
  readonly key: number;
}

/** The newest actions about one conversation, the oldest first. */
export async function listActionsOn(pool: pg.Pool, conversation: string, limit: number): Promise<NumberedAction[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-supervisor-actions-on',
    text: `select key, ${COLUMNS} from audit where conversation = $1 and actor = '${SUPERVISOR}' order by key desc limit $2`,
    values: [conversation, limit],
  });
  return rows.map((row) => ({ key: integer(row, 'key'), ...parseAction(row) })).reverse();
}

/** Restarts of conversations within a time, the oldest first: for a supervisor that begins without a memory. */
export async function listRestarts(
  pool: pg.Pool,
  { withinMs, limit }: { readonly withinMs: number; readonly limit: number },
): Promise<{ readonly conversation: string; readonly at: number }[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-supervisor-restarts',
    text: `select ${COLUMNS} from audit
      where actor = '${SUPERVISOR}' and action = 'restart' and conversation is not null
        and at > clock_timestamp() - make_interval(secs => $1::float8 / 1000)
      order by key desc limit $2`,
    values: [withinMs, limit],
  });
  return rows.map((row) => ({ conversation: text(row, 'conversation'), at: time(row, 'at').getTime() })).reverse();
}

function parseAction(row: Row): StoredAction {
  const { reason, ...details } = object(row, 'details');
  return {
    conversation: orNull(text, row, 'conversation') ?? undefined,
    at: time(row, 'at'),
    action: text(row, 'action'),
    reason: typeof reason === 'string' ? reason : '',
    details,
  };
}
