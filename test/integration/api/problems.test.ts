import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Submitter } from '../../../dispatch/submission.ts';
import { expect, test } from 'vitest';
import { AppError, PROBLEMS, type ProblemCode } from '../../../domain/errors.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { startApi, useApi } from '../../harness/api/use-api.ts';

let failure = new Error('not set');
const { database, service } = useApi(() => ({ submitter: { submit: () => Promise.reject(failure) } }));

const folder = path.join(packageRoot(), 'docs', 'reference', 'problems');
const codes = Object.keys(PROBLEMS) as ProblemCode[];

test('every problem of the catalogue has a page', () => {
  const pages = readdirSync(folder).filter((name) => name !== 'README.md');
  expect(pages.sort()).toEqual(codes.map((code) => `${code}.md`).sort());
  const index = readFileSync(path.join(folder, 'README.md'), 'utf8');
  for (const code of codes) expect(index).toContain(`(${code}.md)`);
});

test.each(codes)('the page of %s explains the problem, its causes and what to do, and shows an example', (code) => {
  const page = readFileSync(path.join(folder, `${code}.md`), 'utf8');
  const { status, title } = PROBLEMS[code];
  expect(page).toContain(`# \`${code}\`\n\n${status} · ${title}`);
  expect(page).toMatch(/\n## When\n[^]+\n## What to do\n[^]+\n## Example\n/);
  const example = JSON.parse(/```json\n([^]+)\n```/.exec(page)?.[1] ?? '') as Record<string, unknown>;
  expect(example).toMatchObject({ type: `/docs/problems/${code}`, title, status, code });
});

test.each(codes)('the type of %s is the address of its page', async (code) => {
  const answer = await service.ask(`GET /docs/problems/${code}`);
  expect(answer.status).toBe(200);
  expect(answer.text).toContain(`<code>${code}</code>`);
});

test('an unknown problem code has no page', async () => {
  for (const name of ['nothing', '..%2f..%2f..%2fREADME', '__proto__']) {
    expect((await service.ask(`GET /docs/problems/${name}`)).status).toBe(404);
  }
});

test('an unknown path gets 404 and an unsupported method gets 405', async () => {
  for (const what of ['GET /', 'GET /v1', 'POST /v2/conversations', 'GET /v1/Conversations']) {
    const answer = await service.ask(what, { user: 'alice' });
    expect([what, answer.status, answer.body.code]).toEqual([what, 404, 'not-found']);
  }
  const answer = await service.ask('PUT /v1/conversations', { user: 'alice' });
  expect([answer.status, answer.body.code]).toEqual([405, 'method-not-allowed']);
  expect(answer.headers.get('allow')).toBe('GET, HEAD, OPTIONS, POST');
  const options = await service.ask('OPTIONS /v1/conversations');
  expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS, POST']);
  const head = await service.ask('HEAD /v1/conversations', { user: 'alice' });
  expect([head.status, head.text]).toEqual([200, '']);
});

test('an internal error is logged and its message is not in the answer', async () => {
  const id = await createConversation(service);
  failure = new Error('the secret of alice');
  const headers = { 'x-request-id': 'look-me-up' };
  const answer = await service.ask(`DELETE /v1/conversations/${id}`, { user: 'alice', headers });
  expect([answer.status, answer.body.code]).toEqual([500, 'internal']);
  expect(answer.text).not.toContain('secret of alice');
  expect(service.logs().find((line) => line.level === 'error')).toMatchObject({
    requestId: 'look-me-up',
    route: '/v1/conversations/{id}',
    err: { cause: { message: 'the secret of alice' } },
  });
});

test.each([
  [new AppError('overloaded'), 503, 'overloaded'],
  [new AppError('deadline'), 503, 'deadline'],
  [Object.assign(new Error('gone'), { code: 'ECONNREFUSED' }), 503, 'unavailable'],
  [Object.assign(new Error('cancelled'), { code: '57014' }), 503, 'unavailable'],
  [Object.assign(new Error('defect'), { code: '42601' }), 500, 'internal'],
])('%s gets the status %i', async (error, status, code) => {
  const id = await createConversation(service, [], { protocol: 'opaque' });
  failure = error;
  const body = { id: 'm', ciphertext: base64('x') };
  const answer = await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', body });
  expect([answer.status, answer.body.code]).toEqual([status, code]);
});

test('a request that is not decided in time is answered all the same', async () => {
  const deadlineMs = 200;
  let leftMs = Infinity;
  const never: Submitter = {
    submit: ({ deadline }) => {
      leftMs = deadline - Date.now();
      return new Promise(() => undefined);
    },
  };
  const slow = await startApi(database().pool, { submitter: never, requestDeadlineMs: deadlineMs });
  const id = await createConversation(slow, [], { protocol: 'opaque' });
  const answer = await slow.ask(`POST /v1/conversations/${id}/read`, { user: 'alice' });
  expect([answer.status, answer.body.code]).toEqual([503, 'deadline']);
  expect(leftMs).toBeLessThanOrEqual(deadlineMs);
  await slow.close();
});

test('answers forbid caching and content sniffing', async () => {
  const answer = await service.ask('GET /v1/conversations', { user: 'alice' });
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  expect(answer.headers.get('x-powered-by')).toBeNull();
  expect(answer.headers.get('etag')).toBeNull();
});
