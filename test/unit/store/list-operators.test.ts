import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';

/** Lines that may compare each element of one list with each of another, because one of the lists has a small limit. */
const SMALL = [
  // 101 key packages in an upload, and 500 in store.
  'and ref <> all (p_keep)',
  // Those who have the reservation, and those who lost a commit within seconds.
  'and user_id <> all (p_removes)',
  // Users in one staging statement, above their quota.
  'i.user_id <> all (o.users)',
  // One pass over a list, for one user.
  'array_remove(v_adds, v_actor)',
  'array_remove(unproven_members_among(c.key, v_adds), m.user_id)',
  'array_remove(v_members, p_creator)',
  'array_remove(p_users, p_inviter)',
];

test('no SQL function compares each element of one client-sized list with each of another', () => {
  const store = path.join(packageRoot(), 'store');
  const files = (readdirSync(store, { recursive: true }) as string[]).filter(
    (file) => file.endsWith('.sql') && !file.startsWith('migrations'),
  );
  expect(files.length).toBeGreaterThan(20);
  const slow = files.flatMap((file) =>
    readFileSync(path.join(store, file), 'utf8')
      .split('\n')
      .map((line) => line.replace(/--.*/, ''))
      .filter((line) => /&&|@>|<@|<> all|array_position|array_remove/.test(line))
      .filter((line) => !SMALL.some((text) => line.includes(text)))
      .map((line) => `${file}: ${line.trim()}`),
  );
  // store/decision/lists.sql says what to use instead.
  expect(slow).toEqual([]);
});
