import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { overviewConversation } from '../../store/conversation/overview.ts';
import { writeAudit } from '../../store/repair/audit.ts';

/** A page that connects again all the time must not fill the audit trail. */
const NOTED = { max: 1000, ttl: 3_600_000 };

/**
 * Admits an operator to the life of a conversation, and notes in the audit trail that it looks: it sees who sent an entry, where the
 * log has that.
 * @returns false if there never was such a conversation
 */
export function makeAdmitToLife(pool: pg.Pool): (conversation: string, operator: string) => Promise<boolean> {
  const noted = new LRUCache<string, true>(NOTED);
  return async (conversation, operator) => {
    if ((await overviewConversation(pool, conversation)) === undefined) return false;
    const name = JSON.stringify([conversation, operator]);
    if (!noted.has(name)) {
      await writeAudit(pool, { conversation, actor: operator, action: 'life', details: {} });
      noted.set(name, true);
    }
    return true;
  };
}
