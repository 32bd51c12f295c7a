import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { findEntry } from '../../store/log/entry-by-id.ts';
import { entryJson } from '../../streams/entry-json.ts';
import { type Reply, reply } from '../http/reply.ts';

/** A page with the entry of this id. @throws AppError `not-found` also where the user may not read that entry */
export async function pageOfEntry(pool: pg.Pool, conversation: string, user: string, id: string): Promise<Reply> {
  const found = await findEntry(pool, conversation, user, id);
  if (found === undefined) throw new AppError('not-found');
  return reply(200, { entries: [entryJson(found.entry)], lastSeq: found.lastSeq });
}
