import { z } from 'zod';
import { parseConversationId } from '../../domain/ids.ts';
import type { ChangePoint, ChangesCursor } from '../../store/conversation/lists.ts';
import { Limit, Next, Seq, cursorAfter, cursorOf } from './common.ts';
import { conversationFacts, ownFacts } from './conversations.ts';

/** Transaction ids have 64 bits, unsigned. */
const MAX_XID = 2n ** 64n - 1n;
const POINT = /^(\d{1,20})\.([0-9a-f]{8})$/;
const CHANGES_CURSOR = /^(\d{1,20})\.(\d{1,20})\.([0-9a-f]{8})\.(\d{1,12})\.([A-Za-z0-9_-]{2,86})$/;

const isXid = (text: string): boolean => BigInt(text) <= MAX_XID;

/** What `changedSince` says: everything, or since a point. */
type Since = { readonly point: ChangePoint | undefined };

function parseSince(text: string): Since | undefined {
  if (text === '') return { point: undefined };
  const [, horizon, lineage] = POINT.exec(text) ?? [];
  return horizon === undefined || lineage === undefined || !isXid(horizon)
    ? undefined
    : { point: { horizon, lineage } };
}

/** Where a list goes on: one of changes, or the plain one. */
type ListCursor = { readonly changes: ChangesCursor } | { readonly after: string };

function parseListCursor(text: string): ListCursor | undefined {
  const after = parseConversationId(text);
  if (after !== undefined) return { after };
  const [, since, horizon, lineage, members, last] = CHANGES_CURSOR.exec(text) ?? [];
  if (since === undefined || horizon === undefined || lineage === undefined || last === undefined) return undefined;
  if (!isXid(since) || !isXid(horizon) || parseConversationId(last) === undefined) return undefined;
  return { changes: { since, horizon, lineage, members: Number(members), after: last } };
}

/** A point as clients keep it. */
export function writePoint({ horizon, lineage }: ChangePoint): string {
  return cursorAfter(`${horizon}.${lineage}`);
}

export function writeChangesCursor({ since, horizon, lineage, members, after }: ChangesCursor): string {
  return cursorAfter(`${since}.${horizon}.${lineage}.${members}.${after}`);
}

export const ConversationsQuery = z.strictObject({
  changedSince: cursorOf(parseSince, {
    from: 'the `changedSince` of an earlier answer, or empty',
    description:
      '`changedSince` of an earlier answer: only what changed since then. Empty: everything, and a `changedSince` for the next time',
  }),
  cursor: cursorOf(parseListCursor),
  limit: Limit,
});

export const ListedConversation = z
  .object({
    ...conversationFacts,
    ...ownFacts,
    oldestSeq: Seq.meta({ description: 'The oldest entry that is kept. Entries before it were deleted' }),
    joinedSeq: Seq.meta({
      description: 'The entry with which you joined last; 0 = you are a member since the creation',
    }),
    readSeq: Seq.meta({ description: 'You have read up to here' }),
    position: z.string().meta({
      description:
        'Position of the last entry that you may read: `<seq>.<mark>`, where the mark stands for the whole log up to there. Only the seq, if that entry is older than the chain',
    }),
    successor: z.string().optional().meta({ description: 'The conversation that replaced this one after a reset' }),
  })
  .meta({ id: 'ListedConversation', description: 'A conversation in the list of the caller' });

export const ConversationList = z
  .object({
    conversations: z.array(ListedConversation).meta({ description: 'In order of id' }),
    next: Next,
    changedSince: z.string().optional().meta({
      description: 'On the last page of a list with `changedSince`: what to ask for next time',
    }),
    total: z.number().int().optional().meta({
      description:
        'On the last page of a list with `changedSince`: conversations of which you are a member. If you know of another number, one was deleted: list everything',
    }),
    full: z.literal(true).optional().meta({
      description:
        'This page begins a list of everything, also if you asked for changes: the service was restored to an earlier state, say. Forget the pages before it',
    }),
  })
  .meta({ id: 'ConversationList', description: 'A page of the conversations of the caller' });
