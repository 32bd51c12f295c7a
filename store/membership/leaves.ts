import type pg from 'pg';
import type { DeviceName } from '../key-package/key-packages.ts';

/**
 * Notes which device has the first leaf of a conversation.
 * @param leaf SHA-256 of the leaf's signature key, as lower-case hex. Absent = not known
 */
export async function noteCreatorLeaf(
  pool: pg.Pool,
  conversation: string,
  { user, device, leaf }: DeviceName & { readonly leaf: string | undefined },
): Promise<void> {
  if (leaf === undefined) return;
  const values = [conversation, user, device, Buffer.from(leaf, 'hex')];
  await pool.query({ name: 'note-creator-leaf', text: 'select note_creator_leaf($1, $2, $3, $4)', values });
}
