import { readFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { format, resolveConfig } from 'prettier';
import { afterEach, expect, test, vi } from 'vitest';
import { run } from '../../../cli/run.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { cliReference } from '../../../tools/cli-reference/text.ts';
import { testFolder } from '../../harness/folder.ts';
import { developmentSecret } from '../../../local/development-token.ts';
import { writeRunningStack } from '../../../local/service-url.ts';

afterEach(() => vi.restoreAllMocks());

/** Runs a command line against a service that answers with this, or that is away. */
async function parley(
  args: readonly string[],
  { answer, env = {}, root = testFolder() }: { answer?: () => Response; env?: NodeJS.ProcessEnv; root?: string } = {},
): Promise<{ code: number; out: string; err: string; requests: Request[] }> {
  const requests: Request[] = [];
  vi.spyOn(globalThis, 'fetch').mockImplementation((input, init) => {
    requests.push(new Request(input, init));
    return answer === undefined ? Promise.reject(new TypeError('fetch failed')) : Promise.resolve(answer());
  });
  let out = '';
  let err = '';
  const code = await run(
    args,
    {
      env: { PARLEY_URL: 'http://127.0.0.1:9', PARLEY_TOKEN: 'secret-token', ...env },
      root,
      stdin: new PassThrough(),
      stdout: { write: (text) => (out += text) },
      stderr: { write: (text) => (err += text) },
      signal: new AbortController().signal,
    },
    '1.2.3',
  );
  return { code, out, err, requests };
}

const problem = (status: number, body: object): Response =>
  Response.json(body, { status, headers: { 'x-request-id': 'r1' } });

test('the reference page is what the program says', async () => {
  const file = path.join(packageRoot(), 'docs', 'reference', 'cli.md');
  const expected = await format(cliReference(), { ...(await resolveConfig(file)), parser: 'markdown' });
  // `npm run cli-reference` writes it.
  expect(readFileSync(file, 'utf8')).toBe(expected);
});

test('help and version end with 0 and go to stdout', async () => {
  expect(await parley(['--version'])).toMatchObject({ code: 0, out: '1.2.3\n', err: '' });
  const help = await parley(['conversation', '--help']);
  expect([help.code, help.err]).toEqual([0, '']);
  expect(help.out).toContain('--watch [seconds]');
});

test.each([
  [[]],
  [['nonsense']],
  [['status', '--nonsense']],
  [['conversation']],
  [['conversation', 'not an id']],
  [['conversations', '--state', 'nonsense']],
  [['conversations', '--idle', 'soon']],
  [['conversations', '--min-members', '-1']],
  [['conversations', '--limit', '0']],
  [['status', '--watch', '0']],
  [['path', 'nonsense']],
  [['path', 'auto', '--rollout', '101']],
  [['path', '--rollout', '10']],
  [['replay']],
  [['audit', 'consistency', '--conversation', 'AAAA']],
  [['completion', 'nonsense']],
])('the command line %j is wrong, and asks nobody', async (args) => {
  const { code, err, requests } = await parley(args);
  expect([code, requests]).toEqual([2, []]);
  expect(err).not.toBe('');
});

test('an id may begin with a dash', async () => {
  const { requests } = await parley(['shutdown', '--', '-AAA']);
  expect(requests.map(({ method, url }) => [method, url])).toEqual([
    ['POST', 'http://127.0.0.1:9/v1/admin/conversations/-AAA/shutdown'],
  ]);
});

test('a user id is one part of the path, whatever is in it', async () => {
  const { requests } = await parley(['user', '../a/b?c#d']);
  expect(requests[0]?.url).toBe('http://127.0.0.1:9/v1/admin/users/..%2Fa%2Fb%3Fc%23d');
});

test('a service that does not answer ends with 3, and the token is never printed', async () => {
  const { code, out, err } = await parley(['status']);
  expect([code, out, err]).toEqual([3, '', 'The service does not answer: fetch failed\n']);
});

test('a refusal ends with 1, and names the problem and the request', async () => {
  const answer = (): Response => problem(503, { code: 'unavailable', title: 'A title', detail: 'Why\u001b[2J' });
  const { code, err } = await parley(['status'], { answer });
  expect([code, err]).toEqual([1, 'unavailable: Why\\u{1b}[2J [request r1]\n']);
});

test('an answer of a proxy is not one of the service', async () => {
  expect((await parley(['status'], { answer: () => new Response('<html>', { status: 502 }) })).code).toBe(3);
  expect((await parley(['status'], { answer: () => new Response('<html>', { status: 403 }) })).code).toBe(1);
  // Another program at this address: its page is no answer to print.
  const page = await parley(['status'], { answer: () => new Response('<html>') });
  expect([page.code, page.out, page.err]).toEqual([1, '', 'The answer was 200, and not from Parley\n']);
});

test('requests follow no redirect with the token', async () => {
  const { requests } = await parley(['path']);
  expect(requests[0]?.redirect).toBe('error');
  expect(requests[0]?.headers.get('authorization')).toBe('Bearer secret-token');
});

test('where npm start ran, neither an address nor a token is needed; elsewhere a token is', async () => {
  const root = testFolder();
  const local = { PARLEY_URL: '', PARLEY_TOKEN: '' };
  expect(await parley(['status'], { env: local, root })).toMatchObject({ code: 2 });
  const dataDir = path.join(root, '.parley');
  developmentSecret({ dataDir, jwt: { secret: undefined, audience: 'parley', external: false } });
  writeRunningStack(dataDir, { pid: process.pid, url: 'http://127.0.0.1:8099' });
  const { requests } = await parley(['path'], { env: local, root });
  expect(requests[0]?.url).toBe('http://127.0.0.1:8099/v1/admin/path');
  const [, claims = ''] = (requests[0]?.headers.get('authorization') ?? '').split('.');
  expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({ scope: 'operator' });
  const abroad = await parley(['path'], { env: { PARLEY_URL: 'https://parley.example', PARLEY_TOKEN: '' }, root });
  expect([abroad.code, abroad.requests]).toEqual([2, []]);
});

test('shells get completion', async () => {
  const printed = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  for (const shell of ['bash', 'zsh', 'fish']) expect((await parley(['completion', shell])).code).toBe(0);
  expect(printed.mock.calls.map(([text]) => String(text).includes('parley'))).toEqual([true, true, true]);
  printed.mockClear();
  await parley(['complete', '--', 'conversations', '--st']);
  expect(printed.mock.calls.map(([text]) => String(text)).join('\n')).toContain('--state');
});
