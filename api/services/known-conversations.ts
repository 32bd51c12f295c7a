import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Group } from '../../mls/group.ts';
import { type ConversationView, findOpen, viewConversation } from '../../store/conversation/conversations.ts';

/** Conversations whose protocol is remembered; some 200 bytes each. */
const REMEMBERED = 100_000;

/** What never changes of a conversation. Membership is no such thing: the deciding transaction judges it each time. */
export interface Known extends Group {
  readonly id: ConversationId;
}

export interface KnownConversations {
  /**
   * The conversation, from memory if it was seen before, whoever saw it: then nothing says yet that this user may see it.
   * @throws AppError `not-found`
   */
  readonly find: (id: ConversationId, user: string) => Known | Promise<Known>;
  /**
   * The same, where anyone may join also for those who are no members: they may commit, and nothing else.
   * @throws AppError `not-found`
   */
  readonly findToJoin: (id: ConversationId, user: string) => Promise<Known>;
  /** The conversation as the user sees it now. @throws AppError `not-found` */
  readonly view: (id: ConversationId, user: string) => Promise<ConversationView>;
  /** The same, for those who are members now. @throws AppError `not-found`, `removed` */
  readonly viewAsMember: (id: ConversationId, user: string) => Promise<ConversationView>;
}

/** Remembers protocols, so that a message needs no look-up before it is decided. */
export function makeKnownConversations(pool: pg.Pool): KnownConversations {
  const known = new LRUCache<string, Known>({ max: REMEMBERED });

  const view = async (id: ConversationId, user: string): Promise<ConversationView> => {
    const found = await viewConversation(pool, id, user);
    if (found === undefined) throw new AppError('not-found');
    known.set(id, { id, protocol: found.protocol, groupId: Buffer.from(id, 'base64url') });
    return found;
  };
  const look = async (id: ConversationId, user: string): Promise<Known> => {
    const { protocol } = await view(id, user);
    return { id, protocol, groupId: Buffer.from(id, 'base64url') };
  };
  const lookToJoin = async (id: ConversationId, user: string): Promise<Known> => {
    try {
      return await look(id, user);
    } catch (error) {
      const protocol = error instanceof AppError ? await findOpen(pool, id) : undefined;
      if (protocol === undefined) throw error;
      return { id, protocol, groupId: Buffer.from(id, 'base64url') };
    }
  };
  return {
    find: (id, user) => known.get(id) ?? look(id, user),
    findToJoin: async (id, user) => known.get(id) ?? lookToJoin(id, user),
    view,
    viewAsMember: async (id, user) => {
      const found = await view(id, user);
      if (found.leftSeq !== null) throw new AppError('removed', undefined, { seq: found.leftSeq });
      return found;
    },
  };
}
