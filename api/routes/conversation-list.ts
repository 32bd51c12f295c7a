import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { formatPosition, positionAt } from '../../domain/position.ts';
import {
  type ListedConversation,
  listChangedConversations,
  listConversations,
} from '../../store/conversation/lists.ts';
import { type Reply, reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { cursorAfter } from '../schemas/common.ts';
import { ConversationList, ConversationsQuery, writeChangesCursor, writePoint } from '../schemas/conversation-list.ts';

/** The list of one's conversations, and what changed in it. */
export function conversationListRoutes({ pool }: { readonly pool: pg.Pool }): Route[] {
  const list = defineRoute({
    method: 'get',
    path: '/v1/conversations',
    name: 'listConversations',
    tag: 'Conversations',
    summary: 'List your conversations',
    description: [
      'Conversations that you left or were removed from stay in the list for 30 days, with role `removed`.',
      'With `changedSince` the list has what changed: a new entry, a change of members, roles or policy, unread counts and read positions, what retention deleted, a reset, and your own joining, leaving or removal. Go on as long as there is `next`, then keep `changedSince` for the next time. A conversation may come again although nothing changed in it; none is left out. `full` says that this page begins a list of everything. A deleted conversation is only missing: compare `total`.',
    ].join('\n\n'),
    query: ConversationsQuery,
    replies: { 200: { description: 'Conversations, the oldest first', schema: ConversationList } },
    problems: [],
    handle: async ({ query: { changedSince, cursor, limit }, caller: { user } }) => {
      if (cursor !== undefined && 'changes' in cursor) return changed(user, { cursor: cursor.changes }, limit);
      if (changedSince !== undefined) {
        if (cursor !== undefined) throw new AppError('malformed', '`cursor` is of a list without `changedSince`');
        return changed(user, { since: changedSince.point }, limit);
      }
      const rows = await listConversations(pool, user, cursor?.after ?? '', limit + 1);
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      const next = rows.length > limit && last !== undefined ? { next: cursorAfter(last.id) } : {};
      return reply(200, { conversations: page.map(listedJson), ...next });
    },
  });

  const changed = async (
    user: string,
    from: Parameters<typeof listChangedConversations>[2],
    limit: number,
  ): Promise<Reply> => {
    const { conversations, beginsFull, next, end } = await listChangedConversations(pool, user, from, limit);
    return reply(200, {
      conversations: conversations.map(listedJson),
      ...(next === undefined ? {} : { next: writeChangesCursor(next) }),
      ...(end === undefined ? {} : { changedSince: writePoint(end), total: end.members }),
      ...(beginsFull ? { full: true } : {}),
    });
  };
  return [list];
}

function listedJson(row: ListedConversation): object {
  const { policy: _policy, leftSeq: _leftSeq, chain, successor, createdAt, ...facts } = row;
  return {
    ...facts,
    createdAt: createdAt.toISOString(),
    position: formatPosition(positionAt(facts.lastSeq, chain)),
    ...(successor === null ? {} : { successor }),
  };
}
