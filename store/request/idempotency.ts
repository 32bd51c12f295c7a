import type pg from 'pg';

/** What is known of an Idempotency-Key when a request brings it. */
export type Claim =
  | { readonly state: 'mine' }
  | { readonly state: 'running' }
  | { readonly state: 'answered'; readonly status: number; readonly answer: unknown }
  | { readonly state: 'other-request' };

/**
 * Claims a key for one request, or tells what became of it. A claim whose process died is taken over after its lease.
 * @param scope sha256 over user, device, method, path and key
 * @param request sha256 over the request body
 */
export async function claimKey(pool: pg.Pool, scope: Buffer, request: Buffer, leaseMs: number): Promise<Claim> {
  const { rows } = await pool.query<{ request: Buffer; status: number | null; answer: unknown; mine: boolean }>({
    name: 'claim-key',
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
  const row = rows[0];
  // Neither inserted nor seen: another request inserted it after this statement's snapshot.
  if (row === undefined) return { state: 'running' };
  if (row.mine) return { state: 'mine' };
  if (!row.request.equals(request)) return { state: 'other-request' };
  return row.status === null ? { state: 'running' } : { state: 'answered', status: row.status, answer: row.answer };
}

/** Remembers the answer of a claimed key. */
export async function rememberAnswer(pool: pg.Pool, scope: Buffer, status: number, answer: unknown): Promise<void> {
  await pool.query({
    name: 'remember-answer',
    text: 'update idempotency set status = $2, answer = $3 where scope = $1',
    values: [scope, status, JSON.stringify(answer)],
  });
}

/** Gives a claimed key back: refusals other than 422 are not remembered. */
export async function releaseKey(pool: pg.Pool, scope: Buffer): Promise<void> {
  await pool.query({
    name: 'release-key',
    text: 'delete from idempotency where scope = $1 and status is null',
    values: [scope],
  });
}
