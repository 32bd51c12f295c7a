import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';

const store = path.join(packageRoot(), 'store');
const MIGRATIONS = 'migrations';
/** From here on every table and index of conversations begins with the conversation. */
const FIRST = 11;

/** Indexes of tables of conversations that may begin with something else, with the reason. */
const HELPERS = new Map([
  ['stream_ticket_user', 'a user has few tickets, for streams of any conversation'],
  ['stream_ticket_expiry', 'the sweep deletes tickets of all streams in the order of time'],
  [
    'claim_conversation',
    'the claims of a key package stand with it, and it belongs to a user until a conversation uses it',
  ],
  ['device_leaf_owner', 'a device that is forgotten, or a user who is taken out, has leaves in many conversations'],
  ['key_package_leaf', 'a key package belongs to a user until a conversation uses it'],
  ['pending_removal_user', 'a user who is taken out has pending removals in many conversations'],
  ['push_cursor_next', 'dispatchers look at whatever conversation is due; a small table of the busy ones'],
  ['removal_off_boarding', 'an off-boarding has removals in many conversations'],
  ['removal_to_propose', 'workers take the next removals of all conversations, the longest waiting first'],
  ['audit_supervisor', 'the audit trail is one list for the whole service, in the order of time'],
  [
    'trouble_at',
    'operators read the newest signs of all conversations; a small table, each node of a cluster may answer for its own',
  ],
]);

/** Tables that belong to a device, and name conversations. */
const OF_DEVICES = new Set(['push_mute', 'stream_ticket']);

/** Without comments. */
function code(file: string): string {
  const text = readFileSync(path.join(store, file), 'utf8');
  return file.endsWith('.sql') ? text.replaceAll(/--.*$/gm, '') : text.replaceAll(/\/\*\*.*?\*\/|\/\/[^\n]*/gs, '');
}

const files = readdirSync(store, { recursive: true, encoding: 'utf8' });
const migrations = files.filter((file) => file.startsWith(MIGRATIONS) && file.endsWith('.sql')).sort();
const recent = migrations.filter((file) => Number.parseInt(path.basename(file), 10) >= FIRST);

test('no statement finds rows by their address, which is unique in one partition only', () => {
  const statements = files.filter((file) => /\.(?:sql|ts)$/.test(file) && !file.startsWith(MIGRATIONS));
  expect(statements.length).toBeGreaterThan(60);
  // It compares the place of a row with the locks of the server, and finds no row by it.
  const compares = 'conversation/row-locks.ts';
  expect(statements.filter((file) => /\bctid\b|\btid\b/i.test(code(file)))).toEqual([compares]);
  expect(recent.filter((file) => /\bctid\b/i.test(code(file)))).toEqual([]);
});

/** Tables of migrations with a column `conversation`, each with the columns of its primary key. */
function tables(sql: string): { readonly name: string; readonly key: string }[] {
  return [...sql.matchAll(/create table (\w+) \((.*?)^\)/gms)].flatMap(([, name = '', body = '']) => {
    if (!/^\s*conversation\s/m.test(body)) return [];
    const key = /primary key \(([^)]*)\)/.exec(body)?.[1] ?? /^\s*(\w+) [^\n]*primary key/m.exec(body)?.[1] ?? '';
    return [{ name, key }];
  });
}

test('new tables of conversations have keys and indexes that begin with the conversation', () => {
  expect(recent.length).toBeGreaterThan(1);
  const found = recent.flatMap((file) => tables(code(file)));
  expect(found.map(({ name }) => name)).toEqual(expect.arrayContaining(['trouble', 'consistency_finding']));
  expect(found.filter(({ name, key }) => !OF_DEVICES.has(name) && !/^conversation\b/.test(key))).toEqual([]);

  // Tables of the first migrations too: their new indexes are no exception.
  const all = new Set(migrations.flatMap((file) => tables(code(file))).map(({ name }) => name));
  const indexes = recent.flatMap((file) => [
    ...code(file).matchAll(
      /create (?:unique )?index (?:concurrently )?(?:if not exists )?(\w+)\s+on (\w+) \(\s*(\w+)/g,
    ),
  ]);
  const others = indexes
    .filter(([, , table = '', first]) => all.has(table) && first !== 'conversation')
    .map(([, name = '']) => name);
  // Each exception is needed, and has its reason above.
  expect(others.sort()).toEqual([...HELPERS.keys()].sort());
});

test('a table with another key is seen', () => {
  const sql = 'create table x (\n  id bigint primary key,\n  conversation bigint not null\n);\n';
  expect(tables(sql)).toEqual([{ name: 'x', key: 'id' }]);
  expect(
    tables(sql.replace('id bigint primary key,', '').replace('null\n', 'null,\n  primary key (conversation, a)\n')),
  ).toEqual([{ name: 'x', key: 'conversation, a' }]);
});
