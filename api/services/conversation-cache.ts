import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Group } from '../../mls/group.ts';
import { type ConversationView, findOpen, viewConversation } from '../../store/conversation/conversations.ts';

/** Conversations in the cache. Each needs about 200 bytes. */
const MAX_CACHED = 100_000;

/** The facts of a conversation that never change. The deciding transaction judges membership each time. */
export interface ConversationRef extends Group {
  readonly id: ConversationId;
}

/** Cache of conversation references, so that a message needs no look-up before its decision. */
export interface ConversationCache {
  /**
   * Finds a conversation. It is in the cache if any user asked for it before, so the result does not mean that this user may
   * see it.
   * @throws AppError `not-found`
   */
  readonly find: (id: ConversationId, user: string) => ConversationRef | Promise<ConversationRef>;
  /**
   * Like `find`. If anyone may join the conversation, users who are not members find it too. They may only commit.
   * @throws AppError `not-found`
   */
  readonly findToJoin: (id: ConversationId, user: string) => Promise<ConversationRef>;
  /** The conversation as the user sees it now. @throws AppError `not-found` */
  readonly view: (id: ConversationId, user: string) => Promise<ConversationView>;
  /** Like `view`, but only for current members. @throws AppError `not-found`, `removed` */
  readonly viewAsMember: (id: ConversationId, user: string) => Promise<ConversationView>;
}

export function makeConversationCache(pool: pg.Pool): ConversationCache {
  const cache = new LRUCache<string, ConversationRef>({ max: MAX_CACHED });

  const view = async (id: ConversationId, user: string): Promise<ConversationView> => {
    const found = await viewConversation(pool, id, user);
    if (found === undefined) throw new AppError('not-found');
    cache.set(id, refOf(id, found.protocol));
    return found;
  };
  const look = async (id: ConversationId, user: string): Promise<ConversationRef> => {
    const { protocol } = await view(id, user);
    return refOf(id, protocol);
  };
  const lookToJoin = async (id: ConversationId, user: string): Promise<ConversationRef> => {
    try {
      return await look(id, user);
    } catch (error) {
      const protocol = error instanceof AppError ? await findOpen(pool, id) : undefined;
      if (protocol === undefined) throw error;
      return refOf(id, protocol);
    }
  };
  return {
    find: (id, user) => cache.get(id) ?? look(id, user),
    findToJoin: async (id, user) => cache.get(id) ?? lookToJoin(id, user),
    view,
    viewAsMember: async (id, user) => {
      const found = await view(id, user);
      if (found.leftSeq !== null) throw new AppError('removed', undefined, { seq: found.leftSeq });
      return found;
    },
  };
}

function refOf(id: ConversationId, protocol: Group['protocol']): ConversationRef {
  return { id, protocol, groupId: Buffer.from(id, 'base64url') };
}
