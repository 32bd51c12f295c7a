import type pg from 'pg';
import { lockedProblem } from '../../dispatch/conversation-lock.ts';
import { AppError } from '../../domain/errors.ts';
import { readDeletions } from '../../store/log/deletions.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import { deleteBody } from '../../store/message/delete-body.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams, EntryParams, cursorAfter } from '../schemas/common.ts';
import { DeleteMessage, DeletedMessage, DeletionList, DeletionsQuery } from '../schemas/messages.ts';
import { refusalError } from '../services/operations.ts';

/** Deletes the bodies of messages. */
export function deletionRoutes({
  pool,
  notifier,
}: {
  readonly pool: pg.Pool;
  readonly notifier: Pick<Notifier, 'entry'>;
}): Route[] {
  const remove = defineRoute({
    method: 'delete',
    path: '/v1/conversations/{id}/messages/{seq}',
    name: 'deleteMessage',
    tag: 'Messages',
    summary: 'Delete the body of a message',
    description:
      'For everybody: the ciphertext is deleted, and the entry stays with its hash, so that no `seq` is missing and the chain holds. You show the secret whose SHA-256 came with the message as `deleteHash`; or you are an admin, and the policy `whoMayDelete` allows it. Streams tell it: event `deleted`. Commits and proposals cannot be deleted. Repeated, the answer is the same.',
    params: EntryParams,
    body: DeleteMessage,
    replies: { 200: { description: 'Deleted', schema: DeletedMessage } },
    problems: ['not-allowed', 'removed', 'not-found'],
    handle: async ({ params: { id, seq }, body: { secret }, caller: { user } }) => {
      const deleted = await deleteBody(pool, { conversation: id, user, seq, secret }).catch((error: unknown) => {
        throw lockedProblem(error) ?? error;
      });
      if ('status' in deleted) throw refusalError(deleted);
      const { lastSeq, isNew, ...entry } = deleted;
      if (isNew) notifier.entry(id, lastSeq);
      return reply(200, { ...entry, deleted: true });
    },
  });

  const list = defineRoute({
    method: 'get',
    path: '/v1/conversations/{id}/deletions',
    name: 'listDeletions',
    tag: 'Messages',
    summary: 'List deleted messages',
    description:
      'For devices that read pages only, and keep what they read: which bodies were deleted since. Streams tell it by themselves.',
    params: ConversationParams,
    query: DeletionsQuery,
    replies: { 200: { description: 'A page', schema: DeletionList } },
    problems: ['not-found'],
    handle: async ({ params: { id }, query: { after, cursor, limit }, caller: { user } }) => {
      const found = await readDeletions(pool, id, user, cursor ?? { seq: after, key: 0 }, limit);
      if (found === undefined) throw new AppError('not-found');
      const { entries, next } = found;
      return reply(200, {
        deleted: entries,
        ...(next === undefined ? {} : { next: cursorAfter(`${next.seq}.${next.key}`) }),
      });
    },
  });
  return [remove, list];
}
