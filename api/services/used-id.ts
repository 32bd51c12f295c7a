import type pg from 'pg';
import type { Command } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import { findEntry } from '../../store/log/entry-by-id.ts';

/**
 * Says what an id was used for: to whoever may read that entry its seq and hash, so that a client finds its own message again after it
 * lost the answer. Others learn no more than that the id is in use.
 * @param answer throws the refusal of the command. Others than `id-reused` stay as they are
 */
export async function tellingUsedEntry<T>(
  pool: pg.Pool,
  conversation: string,
  { actor, id }: Pick<Command, 'actor' | 'id'>,
  answer: () => T,
): Promise<T> {
  try {
    return answer();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'id-reused') throw error;
    // The refusal stands also without this.
    const found = await findEntry(pool, conversation, actor, id).catch(() => undefined);
    if (found === undefined) throw error;
    const { seq, sha256 } = found.entry;
    throw new AppError('id-reused', undefined, { ...error.details, seq, sha256: Buffer.from(sha256).toString('hex') });
  }
}
