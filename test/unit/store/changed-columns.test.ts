import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';

/**
 * Updates that are no change for the lists of conversations (`changed_xid`), by what they set. Everything else must say that it is one:
 * a forgotten one would be missed by devices, in silence.
 */
const NO_CHANGES = new Map([
  // With the entry that the same transaction writes to the conversation.
  ['read_seq = c.last_seq, read_count = c.app_count, proven_at = coalesce(proven_at, c.last_at)', 'a message'],
  ['m set read_seq = c.last_seq + (s.ranks ->> m.user_id)::bigint,', 'messages'],
  ['leaving = false where conversation = p_conversation', 'a commit'],
  ["increments_base = increments_base + (op ->> 'by')::bigint", 'increments of the conversation'],
  // Not in the list.
  ['awaited = ', 'whether a member has a leaf'],
  ['proven_at = c.last_at', 'evidence'],
  ['due_at = v_now', 'the alarm clock'],
  ['due_at = null', 'the alarm clock of a deleted one'],
  // It is missing in the list, and the total says so.
  ['deleted_at = c', 'the deletion'],
]);

test('every update of a conversation or a membership says that it is a change for lists, or stands here with its reason', () => {
  const store = path.join(packageRoot(), 'store');
  const unused = new Set(NO_CHANGES.keys());
  const forgotten: string[] = [];
  let found = 0;
  for (const file of readdirSync(store, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.sql') && !name.startsWith('migrations'),
  )) {
    const sql = readFileSync(path.join(store, file), 'utf8');
    for (const [statement] of sql.matchAll(
      /(?:update (?:member|conversation)\b|on conflict \(conversation, user_id\) do update\s+set role)[^;]*;/g,
    )) {
      found++;
      if (statement.includes('changed_xid') || statement.includes('%s')) continue;
      const known = [...NO_CHANGES.keys()].find((what) => statement.includes(what));
      if (known === undefined) forgotten.push(`${file}: ${statement}`);
      else unused.delete(known);
    }
  }
  expect(forgotten).toEqual([]);
  expect([...unused]).toEqual([]);
  expect(found).toBeGreaterThan(15);
});
