import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Group } from '../../mls/group.ts';
import { type ConversationView, viewConversation } from '../../store/conversation/conversations.ts';
import { type Standing, readStanding } from '../../store/membership/standing.ts';

/** Conversations in the cache, and pairs of a conversation and a user. Each needs about 200 bytes. */
const MAX_CACHED = 100_000;

/** The facts of a conversation that never change while the incarnation lasts. The deciding transaction judges membership each time. */
export interface ConversationRef extends Group {
  readonly id: ConversationId;
}

/** Who is let in: those who are or were members, or also everybody where anyone may join, or where anyone may ask to. */
type Admission = 'member' | 'joinable' | 'askable';

/** Cache of conversation references, so that a message needs no look-up before its decision. */
export interface ConversationCache {
  /**
   * Refuses users who may not know that the conversation exists. What it found stays known: while the incarnation lasts, that somebody
   * is or was a member never becomes untrue, because rows of former members stay and ids of deleted conversations are not used again. Whether
   * the user is a member now, or the conversation was deleted, is judged by the deciding transaction. That somebody is no
   * member is not remembered: it may change at any time.
   * @throws AppError `not-found`
   */
  readonly admit: (id: ConversationId, user: string, admission: Admission) => void | Promise<void>;
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
  /** Like `find`. If anyone may ask to join, users who are not members find it too. They may only ask. */
  readonly findToAsk: ConversationCache['find'];
  /** The conversation as the user sees it now. @throws AppError `not-found` */
  readonly view: (id: ConversationId, user: string) => Promise<ConversationView>;
  /** Like `view`, but only for current members. @throws AppError `not-found`, `removed` */
  readonly viewAsMember: (id: ConversationId, user: string) => Promise<ConversationView>;
  readonly forgetAll: () => void;
}

export function makeConversationCache(pool: pg.Pool): ConversationCache {
  const cache = new LRUCache<string, ConversationRef>({ max: MAX_CACHED });
  const known = new LRUCache<string, true>({ max: MAX_CACHED });

  const view = async (id: ConversationId, user: string): Promise<ConversationView> => {
    const found = await viewConversation(pool, id, user);
    if (found === undefined) throw new AppError('not-found');
    cache.set(id, refOf(id, found.protocol));
    return found;
  };
  const look = async (id: ConversationId, user: string, admission: Admission): Promise<ConversationRef> => {
    const { protocol, isKnown, isOpen, takesRequests }: Standing = await readStanding(pool, id, user);
    const isForAll = { member: false, joinable: isOpen, askable: takesRequests }[admission];
    if (protocol === null || !(isKnown || isForAll)) throw new AppError('not-found');
    const ref = refOf(id, protocol);
    cache.set(id, ref);
    if (isKnown) known.set(pairOf(id, user), true);
    return ref;
  };
  return {
    admit: (id, user, admission) =>
      known.get(pairOf(id, user)) === true ? undefined : look(id, user, admission).then(() => undefined),
    find: (id, user) => cache.get(id) ?? look(id, user, 'member'),
    findToAsk: (id, user) => cache.get(id) ?? look(id, user, 'askable'),
    findToJoin: async (id, user) => cache.get(id) ?? look(id, user, 'joinable'),
    view,
    viewAsMember: async (id, user) => {
      const found = await view(id, user);
      if (found.leftSeq !== null) throw new AppError('removed', undefined, { seq: found.leftSeq });
      return found;
    },
    forgetAll: () => {
      cache.clear();
      known.clear();
    },
  };
}

/** A space can separate the ids, because a conversation id has none. */
function pairOf(id: ConversationId, user: string): string {
  return `${id} ${user}`;
}

function refOf(id: ConversationId, protocol: Group['protocol']): ConversationRef {
  return { id, protocol, groupId: Buffer.from(id, 'base64url') };
}
