import type pg from 'pg';
import { type Row, bytes, flag, integer } from '../row.ts';

/**
 * State of an Idempotency-Key for one request.
 *
 * - `mine`: this request has the lease, and must run
 * - `running`: another request has the lease
 * - `answered`: the key has an answer
 * - `other-request`: the key belongs to a request with another body
 */
export type LeaseResult =
  | { readonly state: 'mine' }
  | { readonly state: 'running' }
  | { readonly state: 'answered'; readonly status: number; readonly answer: unknown }
  | { readonly state: 'other-request' };

/**
 * Acquires the lease of a key for one request, if the key is free. When the lease has expired, the process that had it is
 * probably dead: then the same request may take it over.
 * @param scope sha256 over user, device, method, path and key
 * @param request sha256 over the request body
 */
export async function acquireLease(
  pool: pg.Pool,
  scope: Buffer,
  request: Buffer,
  leaseMs: number,
): Promise<LeaseResult> {
  const { rows } = await pool.query<Row>({
    name: 'acquire-lease',
    text: `with mine as (
        insert into idempotency (scope, request, lease_until)
        values ($1, $2, clock_timestamp() + $3 * interval '1 millisecond')
        on conflict (scope) do update set lease_until = excluded.lease_until
          where idempotency.status is null and idempotency.lease_until < clock_timestamp()
            and idempotency.request = excluded.request
        returning request, status, answer)
      select request, status, answer, true as mine from mine
      union all
      select request, status, answer, false from idempotency where scope = $1 and not exists (select from mine)`,
    values: [scope, request, leaseMs],
  });
  const [row] = rows;
  // Not inserted, and not visible: another request inserted the key after the snapshot of this statement.
  if (row === undefined) return { state: 'running' };
  if (flag(row, 'mine')) return { state: 'mine' };
  if (!bytes(row, 'request').equals(request)) return { state: 'other-request' };
  if (row.status === null) return { state: 'running' };
  return { state: 'answered', status: integer(row, 'status'), answer: row.answer };
}

/** Stores the answer of a key. */
export async function rememberAnswer(pool: pg.Pool, scope: Buffer, status: number, answer: unknown): Promise<void> {
  await pool.query({
    name: 'remember-answer',
    text: 'update idempotency set status = $2, answer = $3 where scope = $1',
    values: [scope, status, JSON.stringify(answer)],
  });
}

/** Frees a key that has no answer. For refusals that are not remembered, because a retry may succeed. */
export async function releaseLease(pool: pg.Pool, scope: Buffer): Promise<void> {
  await pool.query({
    name: 'release-lease',
    text: 'delete from idempotency where scope = $1 and status is null',
    values: [scope],
  });
}
