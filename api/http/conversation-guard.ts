import type { RequestHandler } from 'express';
import { AppError } from '../../domain/errors.ts';
import { type ConversationId, type UserId, parseConversationId } from '../../domain/ids.ts';
import { callerOf } from './context.ts';
import type { Admission, Route } from './route.ts';

/** Whether a user may use the routes of a conversation. A user who may not must not learn whether the conversation exists. */
export interface Admit {
  /** At once if it is known. @throws AppError `not-found` */
  readonly admit: (id: ConversationId, user: UserId, admission: Admission) => void | Promise<void>;
}

/** Start of all paths that name a conversation of the caller. */
const OF_CONVERSATION = '/v1/conversations/{id}';

/** Who may use a route. It follows from the path, so no route can forget it. `undefined` = the path names no conversation. */
export function admissionOf({ path, admission }: Pick<Route, 'path' | 'admission'>): Admission | undefined {
  if (path !== OF_CONVERSATION && !path.startsWith(`${OF_CONVERSATION}/`)) return undefined;
  return admission ?? 'member';
}

/**
 * Refuses users who may not see the conversation in the path, before anything else of the request is looked at. So a
 * stranger's request costs one look-up at most, and its answer says nothing: a body or a query that is not well formed gets
 * the same `not-found` as a conversation that does not exist.
 */
export function makeConversationGuard(admission: Admission, { admit }: Admit): RequestHandler {
  return async function guardConversation(req, res, next) {
    const { id } = req.params;
    const conversation = typeof id === 'string' ? parseConversationId(id) : undefined;
    if (conversation === undefined) throw new AppError('not-found');
    const admitted = admit(conversation, callerOf(res).user, admission);
    if (admitted !== undefined) await admitted;
    next();
  };
}
