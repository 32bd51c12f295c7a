import type pg from 'pg';

/** Something that operators must be able to look up later. */
export interface AuditEntry {
  /** Absent = not about one conversation. */
  readonly conversation?: string | undefined;
  /** The user who did it. */
  readonly actor: string;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** An entry as it was kept. */
export interface AuditRow {
  readonly key: number;
  readonly at: Date;
  readonly conversation: string | null;
  readonly actor: string;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Keeps what an operator does; reports and resets are kept by the deciding transaction. */
export async function writeAudit(pool: pg.Pool, { conversation, actor, action, details }: AuditEntry): Promise<void> {
  await pool.query({
    name: 'write-audit',
    text: 'insert into audit (conversation, actor, action, details) values ($1, $2, $3, $4)',
    values: [conversation ?? null, actor, action, JSON.stringify(details)],
  });
}

/**
 * What was kept, newest first.
 * @param conversation absent = of all
 * @param before key to go on before
 */
export async function listAudit(
  pool: pg.Pool,
  {
    conversation,
    before = Number.MAX_SAFE_INTEGER,
    limit,
  }: {
    readonly conversation?: string | undefined;
    readonly before?: number | undefined;
    readonly limit: number;
  },
): Promise<AuditRow[]> {
  const columns = 'key, at, conversation, actor, action, details';
  const { rows } = await pool.query<AuditRow>(
    conversation === undefined
      ? {
          name: 'list-audit',
          text: `select ${columns} from audit where key < $1 order by key desc limit $2`,
          values: [before, limit],
        }
      : {
          name: 'list-audit-of-conversation',
          text: `select ${columns} from audit where conversation = $3 and key < $1
            order by conversation desc, key desc limit $2`,
          values: [before, limit, conversation],
        },
  );
  return rows;
}
