import type pg from 'pg';
import type { Suspect } from '../../domain/supervision/look.ts';
import { lockedAmong } from '../../store/decision/locked.ts';
import type { RowLock } from '../../store/conversation/row-locks.ts';
import { blockersOf } from '../../store/supervision/blockers.ts';
import type { Trouble } from '../../store/trouble/troubles.ts';

/** Rows that one look asks about, one after another. The others are left alone until the next look. */
const ASKED = 50;
/** A decision holds a row for milliseconds. Whoever holds it for longer than this is in the way. */
const LONG_MS = 2000;

/**
 * Of these conversations those whose row somebody holds. They are not judged by any other sign: no restart helps them.
 * @returns `held`: locked at this moment; `suspects`: held for long, and by whom
 */
export async function blocked(
  pool: pg.Pool,
  suspects: readonly Suspect[],
  troubles: readonly Trouble[],
): Promise<{ readonly held: ReadonlySet<string>; readonly suspects: readonly Suspect[] }> {
  const said = troubles.filter(({ sign }) => sign === 'blocked').map(({ conversation }) => conversation);
  const asked = [...new Set([...suspects.map(({ conversation }) => conversation), ...said])];
  if (asked.length === 0) return { held: new Set(), suspects: [] };
  const held = await lockedAmong(pool, asked);
  const found: Suspect[] = [];
  for (const conversation of [...held].slice(0, ASKED)) {
    const blocker = longest(await blockersOf(pool, conversation));
    if (blocker !== undefined) found.push({ conversation, sign: 'blocked', details: factsOf(blocker) });
  }
  return { held, suspects: found };
}

function longest(blockers: readonly RowLock[]): RowLock | undefined {
  const long = blockers.filter(({ transactionMs }) => transactionMs === null || transactionMs >= LONG_MS);
  return long.sort((a, b) => (b.transactionMs ?? 0) - (a.transactionMs ?? 0))[0];
}

function factsOf({ pid, application, state, transactionMs }: RowLock): Suspect['details'] {
  return {
    pid,
    ...(application === null ? {} : { application }),
    ...(state === null ? {} : { state }),
    ...(transactionMs === null ? {} : { transactionSeconds: Math.round(transactionMs / 1000) }),
  };
}
