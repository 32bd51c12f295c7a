import { checkInvariants } from '../harness/invariants.ts';
import { makePool } from '../../store/pool.ts';
import { describe } from '../load/closed-loop.ts';
import type { Contender } from './contender.ts';
import { CONVERSATIONS } from './world.ts';

/** Invariants 1 and 2 (docs/explanation/invariants.md), which every contender must keep: dense seq, one commit for an epoch. */
const CHECKED = /^invariant [12]:/;

/** Checks the logs that the cases filled by SQL. @returns what is broken */
export async function checkLogs({ databaseUrl }: Pick<Contender, 'databaseUrl'>): Promise<string[]> {
  const { serial, hot, spread, raced } = CONVERSATIONS;
  return checkConversations(databaseUrl, [serial, hot, ...spread, ...raced]);
}

/** The same for given conversations. */
export async function checkConversations(databaseUrl: string, conversations: readonly string[]): Promise<string[]> {
  const pool = makePool({ url: databaseUrl, max: 1, name: 'bench-check', statementTimeoutMs: 60_000 });
  try {
    const broken: string[] = [];
    for (const conversation of conversations) {
      await checkInvariants(pool, conversation, (name) => CHECKED.test(name)).catch((error: unknown) =>
        broken.push(describe(error)),
      );
    }
    return broken;
  } finally {
    await pool.end();
  }
}
