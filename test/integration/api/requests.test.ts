import { expect, test } from 'vitest';
import { base64, createConversation } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';

const { service } = useApi();

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const trace = '4bf92f3577b34da6a3ce929d0e0e4736';

test.each([
  [
    'the id of the client, also beside a trace',
    { traceparent: `00-${trace}-00f067aa0ba902b7-01`, 'x-request-id': 'mine' },
    'mine',
  ],
  ['a new id beside a trace', { traceparent: `00-${trace}-00f067aa0ba902b7-01` }, UUID],
  ['the id of the client', { 'x-request-id': 'mine-1' }, 'mine-1'],
  ['a new id for an empty trace', { traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01` }, UUID],
  ['a new id instead of one that could forge a log line', { 'x-request-id': 'a b{"x":1}' }, UUID],
  ['a new id', {}, UUID],
])('the request id is %s', async (_, headers, id) => {
  const answer = await service.ask('GET /health/live', { headers });
  expect(answer.headers.get('x-request-id')).toMatch(id);
});

test('each request makes one log line and one observation, without its content', async () => {
  const id = await createConversation(service, [], { protocol: 'opaque' });
  const ciphertext = base64('a secret that nobody reads');
  const headers = { 'x-request-id': 'line-1' };
  await service.ask(`POST /v1/conversations/${id}/messages`, { user: 'alice', headers, body: { id: 'm', ciphertext } });
  const route = '/v1/conversations/{id}/messages';
  await expect.poll(() => service.logs().filter((line) => line.requestId === 'line-1')).toHaveLength(1);
  const [line] = service.logs().filter((one) => one.requestId === 'line-1');
  expect(line).toMatchObject({ msg: 'request', method: 'POST', route, status: 200, user: 'u:alice' });
  expect(line?.correlationId).toMatch(UUID);
  expect(line?.ms).toBeGreaterThan(0);
  expect(service.observed.at(-1)).toEqual({ method: 'POST', route, status: 200 });
  expect(JSON.stringify(service.logs())).not.toContain(ciphertext);
  expect(JSON.stringify(service.logs())).not.toContain(id);
});

test('requests for health and metrics are not logged, and unknown paths make no labels', async () => {
  const before = service.logs().length;
  await service.ask('GET /health');
  await service.ask('GET /metrics');
  await service.ask('GET /some/where?x=1');
  await expect.poll(() => service.logs().length).toBe(before + 1);
  expect(service.logs().at(-1)).toMatchObject({ route: 'unmatched', status: 404 });
});
