import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { overviewConversation } from '../../store/conversation/overview.ts';
import { writeAudit } from '../../store/repair/audit.ts';

/** A page that connects again all the time must not fill the audit trail. */
const NOTED = { max: 1000, ttl: 3_600_000 };

export interface AdmitToLife {
  /** @returns false if there never was such a conversation */
  readonly admit: (conversation: string, operator: string) => Promise<boolean>;
  /** Forgets what it has noted, after a restore of the database. */
  readonly forgetAll: () => void;
}

/**
 * Admits an operator to the life of a conversation, and notes in the audit trail that it looks: it sees who sent an entry, where the
 * log has that.
 */
export function makeAdmitToLife(pool: pg.Pool): AdmitToLife {
  const noted = new LRUCache<string, true>(NOTED);
  return {
    admit: async (conversation, operator) => {
      if ((await overviewConversation(pool, conversation)) === undefined) return false;
      const name = JSON.stringify([conversation, operator]);
      if (!noted.has(name)) {
        await writeAudit(pool, { conversation, actor: operator, action: 'life', details: {} });
        noted.set(name, true);
      }
      return true;
    },
    forgetAll: () => noted.clear(),
  };
}
