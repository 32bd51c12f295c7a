import path from 'node:path';
import { ESLint } from 'eslint';
import tseslint from 'typescript-eslint';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
// @ts-expect-error -- JavaScript, because ESLint runs it without a build.
import { noPlainObjectLookup } from '../../../tools/lint/no-plain-object-lookup.js';

const eslint = new ESLint({
  cwd: packageRoot(),
  overrideConfigFile: true,
  overrideConfig: [
    {
      files: ['**/*.ts'],
      languageOptions: {
        parser: tseslint.parser,
        parserOptions: { projectService: { allowDefaultProject: ['*.ts'] }, tsconfigRootDir: packageRoot() },
      },
      // eslint-disable-next-line @typescript-eslint/no-unsafe-assignment -- a rule without types
      plugins: { parley: { rules: { lookup: noPlainObjectLookup } } },
      rules: { 'parley/lookup': 'error' },
    },
  ] as unknown as ESLint.Options['overrideConfig'] & object,
});

/** What is reported for code in which `users` is a plain object, and `user` came from a request. */
async function reported(code: string): Promise<string[]> {
  const text = `declare const users: Record<string, number>; declare const user: string; export const x = ${code};`;
  const [result] = await eslint.lintText(text, { filePath: path.join(packageRoot(), 'example.ts') });
  return result?.messages.map(({ messageId, message }) => messageId ?? message) ?? [];
}

test.each([
  ['users[user]', ['lookup']],
  ['users?.[user]', ['lookup']],
  ['(users[user] = 1)', ['lookup']],
  ['delete users[user]', ['lookup']],
  ['users[`u:${user}`]', ['lookup']],
  ['users[user as any]', ['lookup']],
  ['((name: keyof typeof users) => users[name])', ['lookup']],
  ['user in users', ['in']],
  ['<K extends string>(key: K) => users[key]', ['lookup']],
])('a look-up of any string in a plain object is refused: %s', async (code, expected) => {
  expect(await reported(code)).toEqual(expected);
});

test.each([
  'users.alice',
  "users['alice']",
  "'alice' in users",
  'new Map(Object.entries(users)).get(user)',
  'Object.hasOwn(users, user)',
  "({ a: 1, b: 2 })[user as 'a' | 'b']",
  '[1, 2][user.length]',
  'user[0]',
  '<T extends { a: 1 }>(t: T, key: keyof T) => t[key]',
  '() => { for (const name in users) return users[name]; return 0; }',
  'process.env[user]',
])('what cannot find something inherited passes: %s', async (code) => {
  expect(await reported(code)).toEqual([]);
});

test('the name of a loop over another object is refused', async () => {
  expect(await reported('() => { for (const name in { ...users }) return users[name]; return 0; }')).toEqual([
    'lookup',
  ]);
});
