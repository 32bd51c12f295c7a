import { Agent, request } from 'node:http';
import type pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { type InProcessApi, startInProcessApi } from '../../../tools/harness/in-process-api.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';

/** An API that has had too much of everything. Nothing that it refuses may reach the database. */
async function startFullApi(): Promise<InProcessApi & { readonly shed: string[] }> {
  const shed: string[] = [];
  const query = (): Promise<never> => Promise.reject(new Error('the database was asked'));
  const service = await startInProcessApi({ options: { max: 1 }, query } as unknown as pg.Pool, {
    seen: {
      note: () => undefined,
      admit: () => true,
      forget: () => undefined,
      forgetAll: () => undefined,
      settled: () => Promise.resolve(),
    },
    loadShedding: { shedder: { admits: () => false }, onShed: (rateClass) => void shed.push(rateClass) },
  });
  onTestFinished(() => service.close());
  return { ...service, shed };
}

test('the refusal is a problem with Retry-After, before the body is read, and the connection stays open', async () => {
  const service = await startFullApi();
  const refused = await service.ask(`POST /v1/conversations/AAAAAAAAAAAAAAAAAAAAAA/messages`, {
    user: 'alice',
    body: { not: 'a message' },
  });
  expect(refused.status).toBe(503);
  expect(refused.body).toMatchObject({ code: 'overloaded', status: 503 });
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(4);
  expect(refused.headers.get('content-type')).toContain('application/problem+json');

  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const authorization = `Bearer ${await tokenOf('alice')}`;
  const ask = (
    bytes: number,
  ): Promise<{ status: number | undefined; isReused: boolean; connection: string | undefined }> =>
    new Promise((resolve, reject) => {
      const headers = { authorization, 'content-type': 'application/json', 'content-length': bytes };
      const sent = request(
        `${service.url}/v1/conversations/x/messages`,
        { method: 'POST', agent, headers },
        (answer) => {
          const {
            statusCode: status,
            headers: { connection },
          } = answer;
          answer.resume().once('end', () => resolve({ status, isReused: sent.reusedSocket, connection }));
        },
      );
      sent.once('error', reject).end('x'.repeat(bytes));
    });
  expect(await ask(1000)).toMatchObject({ status: 503, isReused: false, connection: 'keep-alive' });
  expect(await ask(1000)).toMatchObject({ status: 503, isReused: true, connection: 'keep-alive' });
  // A large body would keep the connection busy for nothing.
  expect(await ask(100_000)).toMatchObject({ status: 503, isReused: true, connection: 'close' });
});

test('a stranger learns nothing else than everybody: without a token the answer is 401', async () => {
  const service = await startFullApi();
  expect((await service.ask('GET /v1/conversations')).status).toBe(401);
  expect((await service.ask('GET /v1/conversations', { user: 'alice' })).status).toBe(503);
  expect(service.shed).toEqual(['reads']);
  expect((await service.ask('GET /v1/admin/path', { user: 'operator' })).status).toBe(200);
});
