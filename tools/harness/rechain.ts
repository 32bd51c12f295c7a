import type pg from 'pg';

/**
 * Gives all kept entries of a conversation their values of the chain (docs/reference/log-chain.md), as the deciding transaction would
 * have done. For logs that a test or a benchmark wrote by hand.
 */
export async function rechain(db: pg.Pool | pg.PoolClient, conversation: string): Promise<void> {
  await db.query(
    `update entry e set chain = v.chain from (
       select e.conversation, e.seq,
         chain_over(coalesce(c.oldest_chain, chain_of_base(c)), chain_part(e.seq, e.kind, e.epoch, e.sha256)) over (order by e.seq) as chain
       from conversation c join entry e on e.conversation = c.key where c.id = $1) v
     where e.conversation = v.conversation and e.seq = v.seq`,
    [conversation],
  );
  await db.query(
    `update conversation c set chain = (select chain from entry where conversation = c.key and seq = c.last_seq) where id = $1`,
    [conversation],
  );
}
