import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from 'vitest';
import { conversationWorkflowId } from '../../workflows/conversation/messages.ts';
import { createHttp, MlsDevice, ParleyClient, toBase64, toBase64Url } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';
import { useService } from '../harness/service.ts';
import type { ServiceProcess } from '../../tools/harness/processes.ts';
import { tokenOf } from '../../tools/harness/tokens.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';

/** A text that occurs nowhere else, so each place that contains it has the planted value. */
const PLANTED = `planted-${randomUUID()}`;
/** A unique part of the ids of users and devices. */
const MARK = `person-${randomUUID()}`;
const ALICE = `alice-${MARK}`;
const BOB = `bob-${MARK}`;

const service = useService({
  apis: 1,
  workers: 1,
  env: { LOG_LEVEL: 'debug', WORKFLOW_STACK_TRACES: 'off', CONVERSATION_PATH: 'workflow' },
});
let api: ServiceProcess | undefined;
let worker: ServiceProcess | undefined;
const tokens = new Map<string, string>();

interface Line {
  readonly msg: string;
  /** The id of the request as the client sees it. */
  readonly requestId?: string;
  /** The service's own id of the request. */
  readonly correlationId?: string;
  readonly correlationIds?: readonly string[];
  readonly user?: string;
  readonly [field: string]: unknown;
}

function linesOf(process: ServiceProcess | undefined): Line[] {
  return textOf(process)
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Line);
}

function textOf(process: ServiceProcess | undefined): string {
  return readFileSync(process?.logFile ?? '', 'utf8');
}

function clientOf(user: string): ParleyClient {
  return new ParleyClient(createHttp({ baseUrl: api?.url ?? '', token: () => tokens.get(user) ?? '' }));
}

async function create(): Promise<string> {
  const id = toBase64Url(randomBytes(18));
  await clientOf(ALICE).createConversation({
    id,
    protocol: 'opaque',
    members: [BOB],
    policy: { externalJoin: 'nobody' },
  });
  return id;
}

/** Sends a message with additional headers. @returns the request id in the answer */
async function send(conversation: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const response = await fetch(`${api?.url}/v1/conversations/${conversation}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokens.get(ALICE)}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ id: randomUUID(), ciphertext: toBase64(Buffer.from(PLANTED)) }),
  });
  expect(response.status).toBe(200);
  return response.headers.get('x-request-id') ?? '';
}

beforeAll(async () => {
  for (const user of [ALICE, BOB]) {
    tokens.set(user, await tokenOf(user, { device: `phone-${MARK}` }));
  }
  [api] = service().apis;
  [worker] = service().workers;
});

test('a request is followed from the id that came back to the client through its line to batch, workflow and activity', async () => {
  const conversation = await create();
  const trace = randomBytes(16).toString('hex');
  const traceparent = `00-${trace}-${randomBytes(8).toString('hex')}-01`;
  const given = `ticket-${randomUUID()}`;
  const both = `both-${randomUUID()}`;
  expect(await send(conversation, { traceparent, 'x-request-id': both })).toBe(both);
  expect(await send(conversation, { 'x-request-id': given })).toBe(given);
  const fresh = await send(conversation, {});
  expect(fresh).not.toBe('');
  expect(await send(conversation, { traceparent: 'nonsense', 'x-request-id': 'not allowed here' })).not.toContain(
    'not',
  );

  expect(linesOf(api).find(({ requestId }) => requestId === both)?.traceparent).toBe(traceparent);
  for (const id of [both, given, fresh]) {
    const ownIds = (): (string | undefined)[] =>
      linesOf(api)
        .filter(({ requestId }) => requestId === id)
        .map(({ correlationId }) => correlationId);
    const messages = (process: ServiceProcess | undefined): string[] => {
      const [own = ''] = ownIds();
      return linesOf(process)
        .filter(({ correlationId, correlationIds }) => correlationId === own || correlationIds?.includes(own) === true)
        .map(({ msg }) => msg);
    };
    await waitUntil(() => messages(api).length >= 2 && messages(worker).length >= 2, { what: `${id} is in every log` });
    expect(messages(api).sort()).toEqual(['batch decided', 'request']);
    // Workflow code wrote the first line, the activity the second one.
    expect(messages(worker).sort()).toEqual(['batch', 'batch applied']);
    expect(ownIds()).toHaveLength(1);
    const request = linesOf(api).find((line) => line.requestId === id);
    expect(request).toMatchObject({ method: 'POST', route: '/v1/conversations/{id}/messages', status: 200 });
  }
});

test('no history contains the request id that a client chose (invariant 10)', async () => {
  const conversation = await create();
  const given = `session-${randomUUID()}`;
  expect(await send(conversation, { 'x-request-id': given })).toBe(given);
  const trace = randomBytes(16).toString('hex');
  expect(await send(conversation, { traceparent: `00-${trace}-${randomBytes(8).toString('hex')}-01` })).not.toBe(trace);
  expectNone('history', await historyOf(conversation), [given, trace]);
});

test('the problem of a refused request contains its request id', async () => {
  const response = await fetch(`${api?.url}/v1/conversations/${toBase64Url(randomBytes(18))}`, {
    headers: { authorization: `Bearer ${tokens.get(ALICE)}`, 'x-request-id': 'refused-1' },
  });
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ code: 'not-found', requestId: 'refused-1' });
  expect(response.headers.get('x-request-id')).toBe('refused-1');
});

test('logs contain no payload, token or user id, and histories contain no payload or token (invariant 10)', async () => {
  const conversation = await create();
  const alice = clientOf(ALICE);
  const secret = Buffer.from(`payload ${PLANTED}`);
  const ciphertext = toBase64(secret);
  await alice.send(conversation, { id: randomUUID(), ciphertext });
  await alice.sendAll(
    conversation,
    [1, 2, 3].map((n) => ({ id: randomUUID(), ciphertext: toBase64(Buffer.from(`${n} ${PLANTED}`)) })),
  );
  await alice.commit(conversation, {
    id: randomUUID(),
    commit: ciphertext,
    adds: [`carol-${MARK}`],
    welcome: toBase64(Buffer.from(`welcome ${PLANTED}`)),
  });
  await alice.addMembers(conversation, [`dave-${MARK}`]);
  await alice.removeMember(conversation, `dave-${MARK}`);
  // Refusals, errors and bad input are likely to be logged.
  await alice.send(conversation, { id: 'twice', ciphertext });
  await alice
    .send(conversation, { id: 'twice', ciphertext: toBase64(Buffer.from(`other ${PLANTED}`)) })
    .catch(() => undefined);
  await clientOf(BOB).removeMember(conversation, BOB);
  await clientOf(BOB)
    .send(conversation, { id: randomUUID(), ciphertext })
    .catch(() => undefined);
  await fetch(`${api?.url}/v1/conversations/${conversation}/messages`, {
    method: 'POST',
    headers: { authorization: `Bearer ${tokens.get(ALICE)}`, 'content-type': 'application/json' },
    body: `{"ciphertext": "${PLANTED}`,
  });
  await fetch(`${api?.url}/v1/conversations/${conversation}?secret=${PLANTED}`, {
    headers: { authorization: `Bearer ${PLANTED}` },
  });

  const secrets = [PLANTED, ciphertext, toBase64(Buffer.from(PLANTED)).slice(0, 40), ...tokens.values()];
  expectNone('log of the API', textOf(api), [...secrets, MARK]);
  expectNone('log of the worker', textOf(worker), [...secrets, MARK]);
  expectNone('history', await historyOf(conversation), secrets);
  const users = linesOf(api).flatMap(({ user }) => (user === undefined ? [] : [user]));
  expect(users.length).toBeGreaterThan(0);
  expect(users.filter((user) => !/^u:[0-9a-f]{16}$/.test(user))).toEqual([]);
});

test('histories connect no sender with a message, and name no user that a commit adds or removes (invariant 10)', async () => {
  const conversation = await create();
  const alice = clientOf(ALICE);
  const ciphertext = toBase64(randomBytes(40));
  await alice.send(conversation, { id: randomUUID(), ciphertext });
  await clientOf(BOB).sendAll(
    conversation,
    [1, 2].map(() => ({ id: randomUUID(), ciphertext: toBase64(randomBytes(40)) })),
  );
  await alice.commit(conversation, { id: randomUUID(), commit: ciphertext, adds: [`carol-${MARK}`] });
  await alice.commit(conversation, { id: randomUUID(), commit: toBase64(randomBytes(40)), removes: [`carol-${MARK}`] });
  expectNone('history', await historyOf(conversation), [MARK]);
});

test('the database connects no sender with a message of an mls conversation, and contains no plaintext or token', async () => {
  const device = await MlsDevice.open({ mls: tsMls, api: clientOf(ALICE), user: ALICE, device: `phone-${MARK}` });
  const group = await device.createGroup({ externalJoin: 'nobody' });
  const { seq } = await group.send(`plaintext ${PLANTED}`);
  await group.update();
  const database = service().pool;
  const { rows } = await database.query<{ kind: string; sender: string | null }>(
    `select e.kind, e.sender from entry e join conversation c on c.key = e.conversation where c.id = $1 order by e.seq`,
    [group.id],
  );
  expect(rows[seq - 1]).toEqual({ kind: 'application', sender: null });

  const tables = await database.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'parley'`,
  );
  const holders: string[] = [];
  for (const { name } of tables.rows) {
    // Postgres writes bytes as hexadecimal text.
    const { rows: found } = await database.query<{ count: number }>(
      `select count(*) as count from ${name} t where strpos(t::text, $1) > 0 or strpos(t::text, $2) > 0`,
      [Buffer.from(`plaintext ${PLANTED}`).toString('hex'), tokens.get(ALICE)],
    );
    if ((found[0]?.count ?? 0) > 0) holders.push(name);
  }
  expect(holders).toEqual([]);
  expect((await database.query('select from staged')).rowCount).toBe(0);
});

/** The history of a conversation's workflow as text, with decoded payloads. */
async function historyOf(conversation: string): Promise<string> {
  const history = await service().temporal.workflow.getHandle(conversationWorkflowId(conversation)).fetchHistory();
  const payloads: string[] = [];
  collectBytes(history, payloads);
  expect(payloads.join('\n')).toContain('"operations"');
  return `${JSON.stringify(history)}\n${payloads.join('\n')}`;
}

function expectNone(place: string, text: string, forbidden: readonly string[]): void {
  expect(text.length, place).toBeGreaterThan(0);
  expect(
    forbidden.filter((secret) => text.includes(secret)),
    place,
  ).toEqual([]);
}

/** Collects every byte string of a structure as text. */
function collectBytes(value: unknown, into: string[]): void {
  if (value instanceof Uint8Array) into.push(Buffer.from(value).toString('utf8'));
  else if (Array.isArray(value)) value.forEach((item) => collectBytes(item, into));
  else if (typeof value === 'object' && value !== null)
    Object.values(value).forEach((item) => collectBytes(item, into));
}
