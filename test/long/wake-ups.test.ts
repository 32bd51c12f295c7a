import { createECDH, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushRetryWorkflowId } from '../../dispatch/push-retries.ts';
import {
  type PushEndpoint,
  type Subscription,
  startPushEndpoint,
  subscribe,
} from '../../tools/harness/push-endpoint.ts';
import { parseMetrics } from '../../tools/load/prometheus-text.ts';
import { tryUntil, waitUntil } from '../../tools/harness/wait-until.ts';
import { useDatabase } from '../harness/database.ts';
import { type ExampleGateway, startExampleGateway } from '../harness/example-gateway.ts';
import { startConversation } from '../harness/requests.ts';
import { useService } from '../harness/service.ts';

/** A whole service wakes devices by real HTTP, through kills of its worker and faults of the push service. */
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
let endpoint: PushEndpoint;
let gateway: ExampleGateway;
beforeAll(async () => {
  [endpoint, gateway] = await Promise.all([startPushEndpoint(), startExampleGateway(SECRET)]);
});
afterAll(async () => {
  gateway.stop();
  await endpoint.close();
});

const database = useDatabase();
const service = useService(() => {
  const vapid = createECDH('prime256v1');
  vapid.generateKeys();
  return {
    apis: 1,
    workers: 1,
    env: {
      PUSH_VAPID_PRIVATE_KEY: Buffer.from(vapid.getPrivateKey()).toString('base64url').padStart(43, 'A'),
      PUSH_VAPID_SUBJECT: 'mailto:ops@example.org',
      PUSH_WEB_HOSTS: '127.0.0.1',
      PUSH_GATEWAY_URL: gateway.url,
      PUSH_GATEWAY_SECRET: SECRET,
      PUSH_NETWORKS: '127.0.0.0/8',
      PUSH_CONTENT: 'conversation',
    },
  };
}, database);

async function api(method: string, path: string, user: string, body?: unknown, device = 'phone'): Promise<unknown> {
  const response = await fetch(`${service().urls()[0] ?? ''}${path}`, {
    method,
    headers: { authorization: `Bearer ${await service().token(user, { device })}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  expect(response.status, text).toBeLessThan(300);
  return text === '' ? undefined : (JSON.parse(text) as unknown);
}

/** A conversation of two fresh users. @returns its id, and a function that sends a message */
async function start(): Promise<{ id: string; from: string; to: string; send: (push?: string) => Promise<void> }> {
  const [from, to] = [`alice-${randomUUID()}`, `bob-${randomUUID()}`];
  const members = [from, to];
  const id = await startConversation(database().pool, { protocol: 'opaque', creator: from, members });
  const send = async (push = 'normal'): Promise<void> => {
    const message = { id: randomUUID(), ciphertext: Buffer.from('hello').toString('base64'), push };
    await api('POST', `/v1/conversations/${id}/messages`, from, message);
  };
  return { id, from, to, send };
}

const arrived = (path: string): Buffer[] =>
  endpoint.received.filter((one) => one.path === path).map(({ body }) => body);

async function register(user: string): Promise<{ path: string; subscription: Subscription }> {
  const path = `/${randomUUID()}`;
  const subscription = subscribe(`${endpoint.url}${path}`);
  await api('PUT', '/v1/push', user, subscription.target);
  return { path, subscription };
}

test.each(['workflow', 'direct'] as const)('on the path %s, by Web Push and by the gateway', async (path) => {
  await service().setPath(path);
  const { id, to, send } = await start();
  const web = await register(to);
  await api('PUT', '/v1/push', to, { kind: 'gateway', token: `${to}-apns`, app: 'ios' }, 'tablet');
  await send('none');
  await send('high');
  await waitUntil(() => arrived(web.path).length === 1, { what: 'the browser is woken' });
  expect(JSON.parse(web.subscription.decrypt(arrived(web.path)[0] ?? Buffer.alloc(0)))).toEqual({
    type: 'wake',
    conversation: id,
  });
  const handedOn = { platform: 'ios', token: `${to}-apns`, urgency: 'high' };
  await waitUntil(() => gateway.handedOn().some(({ token }) => token === handedOn.token), {
    what: 'the tablet is woken',
  });
  expect(gateway.handedOn()).toContainEqual(handedOn);
  // Once, until it acknowledges.
  await send();
  await api('POST', '/v1/ack', to, { positions: { [id]: 3 } });
  await send();
  await waitUntil(() => arrived(web.path).length === 2, { what: 'it is woken again' });
});

test('a worker that is killed while the push service hangs, and then one that fails: nothing is lost, and nobody waits', async () => {
  const [slow, other] = [await start(), await start()];
  const [target, fast] = [await register(slow.to), await register(other.to)];
  endpoint.answer(target.path, 'hang');
  await slow.send();
  await waitUntil(() => arrived(target.path).length === 1, { what: 'the endpoint hangs' });
  await other.send();
  await waitUntil(() => arrived(fast.path).length === 1, { what: 'another device of the same service is woken' });

  await service().workers[0]?.kill9();
  endpoint.answer(target.path, { status: 500 });
  const { pool } = database();
  const waiting = `select attempts from push_target where user_id = $1 and due_at is not null`;
  expect((await pool.query(waiting, [slow.to])).rows).toEqual([{ attempts: 0 }]);
  // Its lease ends.
  await pool.query('update push_target set due_at = clock_timestamp() where user_id = $1', [slow.to]);
  await service().replace('worker', 0);
  await waitUntil(() => arrived(target.path).length >= 2, { what: 'another process sends it again' });

  await waitUntil(async () => (await pool.query(`${waiting} and attempts = 1`, [slow.to])).rowCount === 1, {
    what: 'the service answers 500',
  });
  endpoint.answer(target.path, { status: 201 });
  await pool.query('update push_target set due_at = clock_timestamp() where user_id = $1', [slow.to]);
  // From here on only the workflow tries it. It ends when no target fails.
  const retries = service().temporal.workflow.getHandle(pushRetryWorkflowId(service().taskQueue));
  await tryUntil(() => retries.result(), { what: 'the workflow has sent it' });
  expect(arrived(target.path)).toHaveLength(3);
  expect((await pool.query(waiting, [slow.to])).rows).toEqual([]);
  const text = await (await fetch(`${service().workers[0]?.url ?? ''}/metrics`)).text();
  const metrics = parseMetrics(text);
  expect(metrics.get('parley_push_failed_total')).toBe(1);
  expect(metrics.get('parley_push_sent_total')).toBe(1);
});

test('a subscription that is gone is forgotten, and one that is refused is given up', async () => {
  const { to, send, id } = await start();
  const { path } = await register(to);
  endpoint.answer(path, { status: 413 });
  await send();
  const { pool } = database();
  const unsent = async (): Promise<number | null> =>
    (await pool.query('select from push_target where user_id = $1 and due_at is null and woken', [to])).rowCount;
  await waitUntil(async () => (await unsent()) === 1, { what: 'it is given up' });
  await api('POST', '/v1/ack', to, { positions: { [id]: 1 } });
  endpoint.answer(path, { status: 410 });
  await send();
  await waitUntil(async () => !('target' in ((await api('GET', '/v1/push', to)) as object)), {
    what: 'the service forgets it',
  });
});
