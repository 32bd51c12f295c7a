import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { BODY_LIMIT_MESSAGES, MAX_MESSAGES_PER_REQUEST } from '../../domain/limits.ts';
import { readPage } from '../../store/log/entries.ts';
import type { SendMessages } from '../services/send-messages.ts';
import { problemDocument } from '../http/problems.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { Entries, EntriesQuery, Message, MessageInput, MessageListInput, SendResults } from '../schemas/messages.ts';
import { entryJson } from '../../streams/entry-json.ts';

const path = '/v1/conversations/{id}/messages';
const tag = 'Messages';

/** Sending, and reading by pages. */
export function messageRoutes(deps: { readonly pool: pg.Pool; readonly sendMessages: SendMessages }): Route[] {
  const post = defineRoute({
    method: 'post',
    path,
    name: 'sendMessages',
    tag,
    summary: 'Send messages',
    description:
      'Application messages or proposals, one or a list. A message with an id that was accepted before, and the same bytes, gets the original answer with status `duplicate`. The single form has the status of its problem; the list form is always 200, with a problem in the place of each message that was refused.',
    rateClass: 'messages',
    params: ConversationParams,
    body: MessageInput,
    choose: (body) => ('messages' in body ? MessageListInput : Message),
    weigh: countMessages,
    bodyLimit: BODY_LIMIT_MESSAGES,
    replies: { 200: { description: 'Decided', schema: SendResults } },
    problems: [
      'removed',
      'not-found',
      'epoch-too-old',
      'epoch-ahead',
      'proposal-stale',
      'not-allowed',
      'identity-mismatch',
      'superseded',
      'id-reused',
      'wrong-group',
      'wrong-content-type',
    ],
    handle: async ({ params, body, ...origin }) => {
      const isList = 'messages' in body;
      const messages = isList ? body.messages : [body];
      const sent = await deps.sendMessages(params.id, messages, origin);
      const [first] = sent;
      if (!isList && first instanceof AppError) throw first;
      const results = sent.map((result, i) => {
        const { id } = messages[i] ?? {};
        if (result instanceof AppError) return { id, ...problemDocument(result) };
        const { seq, epoch, status } = result;
        return { id, seq, epoch, status };
      });
      const isFinal = sent.every((result) => !(result instanceof AppError) || result.status === 422);
      return { ...reply(200, { results }), isFinal };
    },
  });

  const get = defineRoute({
    method: 'get',
    path,
    name: 'readEntries',
    tag,
    summary: 'Read the log by pages',
    description:
      'Entries in order of seq. Former members get what they may read, then `removed` once they are at its end. Where retention has taken what would come next, the answer is 410 `history-truncated`: no page passes over a gap in silence. `after` = `oldestSeq` - 1 goes on behind it.',
    params: ConversationParams,
    query: EntriesQuery,
    replies: { 200: { description: 'A page', schema: Entries } },
    problems: ['removed', 'not-found', 'history-truncated'],
    handle: async ({ params, query, caller }) => {
      const { after, limit, kind } = query;
      const page = await readPage(deps.pool, params.id, caller.user, after, limit, kind);
      if (page === undefined) throw new AppError('not-found');
      const { entries, more, lastSeq, leftSeq, oldestSeq } = page;
      if (page.truncated) {
        const detail = `Entries before ${oldestSeq} are gone: rejoin the group if you missed a commit, and go on after ${oldestSeq - 1}`;
        throw new AppError('history-truncated', detail, { oldestSeq });
      }
      const last = entries.at(-1);
      const isAtEnd = last === undefined && (kind === undefined || after >= lastSeq);
      if (leftSeq !== null && isAtEnd) throw new AppError('removed', undefined, { seq: leftSeq });
      return reply(200, {
        entries: entries.map(entryJson),
        ...(more && last !== undefined ? { next: last.seq } : {}),
        lastSeq,
      });
    },
  });
  return [post, get];
}

/** What a body counts as for the limit. */
function countMessages(body: unknown): number {
  const { messages } = (body ?? {}) as { readonly messages?: unknown };
  return Array.isArray(messages) ? Math.min(messages.length, MAX_MESSAGES_PER_REQUEST) : 1;
}
