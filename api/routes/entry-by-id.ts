import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { formatPosition, positionAt } from '../../domain/position.ts';
import { findEntry } from '../../store/log/entry-by-id.ts';
import { entryJson } from '../../streams/entry-json.ts';
import { type Reply, reply } from '../http/reply.ts';

/** A page with the entry of this id. @throws AppError `not-found` also where the user may not read that entry */
export async function pageOfEntry(pool: pg.Pool, conversation: string, user: string, id: string): Promise<Reply> {
  const found = await findEntry(pool, conversation, user, id);
  if (found === undefined) throw new AppError('not-found');
  const { entry, lastSeq } = found;
  return reply(200, {
    entries: [entryJson(entry)],
    lastSeq,
    position: formatPosition(positionAt(entry.seq, entry.chain)),
  });
}
