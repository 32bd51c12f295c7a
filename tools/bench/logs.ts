import { checkInvariants } from '../harness/invariants.ts';
import { makePool } from '../../store/pool.ts';
import { describe } from '../load/closed-loop.ts';
import type { Contender } from './contender.ts';

/** Invariants 1 and 2 (docs/explanation/invariants.md), which every contender must keep: dense seq, one commit for an epoch. */
const CHECKED = new Set<number | undefined>([1, 2]);

/** Checks every log that has entries by SQL. @returns what is broken */
export async function checkLogs({ databaseUrl }: Pick<Contender, 'databaseUrl'>): Promise<string[]> {
  const pool = makePool({ url: databaseUrl, max: 1, name: 'bench-logs' });
  try {
    const { rows } = await pool.query<{ id: string }>('select id from conversation where last_seq > 0');
    return await checkConversations(
      databaseUrl,
      rows.map(({ id }) => id),
    );
  } finally {
    await pool.end();
  }
}

/** The same for given conversations, in one database. */
export async function checkConversations(databaseUrl: string, conversations: readonly string[]): Promise<string[]> {
  const pool = makePool({ url: databaseUrl, max: 1, name: 'bench-check', statementTimeoutMs: 60_000 });
  try {
    const broken: string[] = [];
    for (const conversation of conversations) {
      await checkInvariants(pool, conversation, ({ invariant }) => CHECKED.has(invariant)).catch((error: unknown) =>
        broken.push(describe(error)),
      );
    }
    return broken;
  } finally {
    await pool.end();
  }
}
