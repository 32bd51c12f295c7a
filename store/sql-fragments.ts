/** Pieces of SQL that several statements share. */

// `limit 1` stands in every look-up by key that a join uses. Without it, and while the tables are tiny, the planner may
// walk through a whole index in the order of the join, and keep that plan when the tables have grown.

/**
 * Ends a page before the row with which it would exceed a number of bytes. The first row is always in the page. Adds two columns: `before` = bytes of the
 * rows before this one, `found` = number of rows without the byte limit.
 * @param rows a select
 * @param parameter placeholder of the byte limit, for example `$5`
 * @param columns `bytes` = the column that is counted, `by` = the order of the page
 */
export const withinBytes = (rows: string, parameter: string, { bytes = 'ciphertext', by = 'seq' } = {}): string => `
  select x.* from (
    select e.*, count(*) over () as found,
      sum(octet_length(e.${bytes})) over (order by e.${by} rows between unbounded preceding and 1 preceding) as before
    from (${rows}) e
  ) x where coalesce(x.before, 0) = 0 or x.before + coalesce(octet_length(x.${bytes}), 0) <= ${parameter}`;

/** Like `exists (select from ...)`, but always a look-up: for `exists` the planner may read and hash the whole table. */
export const existsByKey = (rows: string): string => `(select true from ${rows} limit 1) is not null`;
