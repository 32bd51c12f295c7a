import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { formatPosition } from '../../domain/position.ts';
import { BODY_LIMIT_MESSAGES, MAX_MESSAGES_PER_REQUEST } from '../../domain/limits.ts';
import type { ReadPage } from '../../store/replica/replica-pages.ts';
import type { SendMessages } from '../services/send-messages.ts';
import { problemDocument } from '../http/problems.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { isJsonObject } from '../http/validate.ts';
import { ConversationParams } from '../schemas/common.ts';
import { Entries, EntriesQuery, Message, MessageInput, MessageListInput, SendResults } from '../schemas/messages.ts';
import { entryJson } from '../../streams/entry-json.ts';
import { pageOfEntry } from './entry-by-id.ts';

const path = '/v1/conversations/{id}/messages';
const tag = 'Messages';

/** Send messages, and read the log page by page. */
export function messageRoutes(deps: {
  readonly pool: pg.Pool;
  readonly readPage: ReadPage;
  readonly sendMessages: SendMessages;
}): Route[] {
  const post = defineRoute({
    method: 'post',
    path,
    name: 'sendMessages',
    admission: 'askable',
    tag,
    summary: 'Send messages',
    description:
      'Application messages or proposals: one, or a list. A message whose id was accepted earlier with the same bytes gets the original answer, with status `duplicate`. A message that states a `position` which the log does not have gets neither: it is `log-restarted`. If a single message is refused, the answer has the status of its problem. The answer to a list is always 200, with a problem in the place of each refused message. If `externalJoin` is `request` or `anyone`, users who are not members may send one proposal here by which they ask to join: of the sender type `new_member_proposal`, with an Add of their own key package (RFC 9420 §12.1.8). One of each user may be pending.',
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
      'log-restarted',
      'proposal-stale',
      'not-allowed',
      'identity-mismatch',
      'superseded',
      'id-reused',
      'wrong-group',
      'wrong-content-type',
      'key-package-stale',
      'membership-mismatch',
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
        const { seq, epoch, status, chain } = result;
        return { id, seq, epoch, status, ...(chain === undefined ? {} : { chain }) };
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
    summary: 'Read the log page by page',
    description:
      'Entries in order of seq. A page ends early when it has about a megabyte of ciphertext, so it may have fewer than `limit` entries: go on as long as there is `next`. Former members get the entries that they may read, and `removed` after the last of them. If retention deleted the next entries, the answer is 410 `history-truncated`, so that no page hides a gap. To continue after the gap, use `after` = `oldestSeq` - 1. If the log does not go on from `after`, because the service was restored, the answer is 409 `log-restarted`. Only a position is safe: a plain seq is refused only above the last entry. With `id` the page has the entry with this id, and the other parameters say nothing; 404 also if it is none that you may read.',
    hasLargeAnswer: true,
    params: ConversationParams,
    query: EntriesQuery,
    replies: { 200: { description: 'A page', schema: Entries } },
    problems: ['removed', 'not-found', 'log-restarted', 'history-truncated'],
    handle: async ({ params, query, caller }) => {
      if (query.id !== undefined) return pageOfEntry(deps.pool, params.id, caller.user, query.id);
      const { after, limit, kind } = query;
      const page = await deps.readPage(params.id, caller.user, after, limit, kind);
      if (page === undefined) throw new AppError('not-found');
      const { entries, more, lastSeq, leftSeq, oldestSeq, position } = page;
      if (page.restarted) throw new AppError('log-restarted', undefined, { lastSeq, oldestSeq });
      if (page.truncated) {
        const detail = `Entries before ${oldestSeq} were deleted: rejoin the group if you missed a commit, and continue after ${oldestSeq - 1}`;
        throw new AppError('history-truncated', detail, { oldestSeq });
      }
      const last = entries.at(-1);
      const isAtEnd = last === undefined && (kind === undefined || after.seq >= lastSeq);
      if (leftSeq !== null && isAtEnd) throw new AppError('removed', undefined, { seq: leftSeq });
      const chainBefore = kind === undefined ? entries[0]?.chainBefore : undefined;
      return reply(200, {
        entries: entries.map(entryJson),
        ...(more && last !== undefined ? { next: last.seq } : {}),
        lastSeq,
        position: formatPosition(position),
        ...(chainBefore === undefined ? {} : { chainBefore: Buffer.from(chainBefore).toString('base64') }),
      });
    },
  });
  return [post, get];
}

/** Number of messages in a body, for the rate limit. The body is not validated yet. */
function countMessages(body: unknown): number {
  if (!isJsonObject(body) || !Array.isArray(body.messages)) return 1;
  return Math.min(body.messages.length, MAX_MESSAGES_PER_REQUEST);
}
