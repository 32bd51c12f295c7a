import type { OutgoingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { Refusal } from '../../../../local/control/refusal.ts';
import type { ActionRequest } from '../../../../local/control/requests.ts';
import { type ControlInput, startControlServer } from '../../../../local/control/server.ts';
import { makeTerminal, type Terminal } from '../../../../local/control/terminal.ts';
import { makePartStates, type PartStates } from '../../../../local/part-states.ts';
import { freePort } from '../../../../local/ports.ts';
import { tryUntil, waitUntil } from '../../../../tools/harness/wait-until.ts';
import { controlClient, type ControlClient } from '../../../harness/control.ts';

interface Bench extends ControlClient {
  readonly ports: { readonly api: number; readonly control: number };
  readonly started: ActionRequest[];
  readonly tokensFor: unknown[];
  readonly states: PartStates;
  readonly terminal: Terminal;
}

/** A control server whose actions do nothing. */
async function bench(change: Partial<ControlInput> = {}): Promise<Bench> {
  const ports = { api: await freePort(), control: await freePort() };
  const started: ActionRequest[] = [];
  const tokensFor: unknown[] = [];
  const [states, terminal] = [makePartStates(), makeTerminal(() => undefined)];
  const stop = await startControlServer({
    ports,
    states,
    terminal,
    actions: {
      start: (action) => Promise.resolve(void started.push(action)),
      running: () => undefined,
      idle: () => Promise.resolve(),
      onChange: () => undefined,
    },
    backupTakenAt: () => undefined,
    makeToken: (who) => {
      tokensFor.push(who);
      return Promise.resolve({ token: 'token', expiresAt: 1 });
    },
    ...change,
  });
  onTestFinished(stop);
  return { ports, started, tokensFor, states, terminal, ...controlClient(ports) };
}

const ACTION = JSON.stringify({ what: 'kill-api' });

test.each(['localhost', '127.0.0.1', '[::1]'])('a page of the API at %s may do everything', async (name) => {
  const { ask, ports, started, tokensFor } = await bench();
  const headers = { origin: `http://${name}:${ports.api}`, host: `${name}:${ports.control}` };
  const answer = await ask('POST', '/actions', { body: ACTION, headers });
  expect(answer).toMatchObject({ status: 202, body: { what: 'kill-api' } });
  expect(answer.headers).toMatchObject({ 'access-control-allow-origin': headers.origin, vary: 'origin' });
  expect(await ask('POST', '/tokens', { body: '{"user":"alice","device":"laptop"}', headers })).toMatchObject({
    status: 200,
    headers: { 'cache-control': 'no-store' },
    body: { token: 'token', expiresAt: 1 },
  });
  expect([...started, ...tokensFor]).toEqual([{ what: 'kill-api' }, { user: 'alice', device: 'laptop' }]);
  const preflight = await ask('OPTIONS', '/tokens', { headers });
  expect(preflight).toMatchObject({
    status: 204,
    headers: { 'access-control-allow-methods': 'POST', 'access-control-allow-headers': 'content-type' },
  });
});

test.each<[string, OutgoingHttpHeaders, string]>([
  ['a name that was pointed at this machine', { host: 'evil.example:1' }, 'foreign-host'],
  ['a host without a port', { host: 'localhost' }, 'foreign-host'],
  ['a page of somebody else', { origin: 'https://evil.example' }, 'foreign-origin'],
  ['a page on this machine that is not of the API', { origin: 'http://localhost:1' }, 'foreign-origin'],
  ['a page without an origin', { origin: 'null' }, 'foreign-origin'],
  ['no page', { origin: undefined }, 'foreign-origin'],
])('%s is refused everything, also the preflight, and gets no CORS headers', async (_who, headers, code) => {
  const { ask, started, tokensFor } = await bench();
  const requests = [
    ask('POST', '/actions', { body: ACTION, headers }),
    ask('POST', '/tokens', { body: '{"user":"alice"}', headers }),
    ask('GET', '/events', { headers }),
    ask('OPTIONS', '/actions', { headers }),
  ];
  for (const { status, body, headers: got } of await Promise.all(requests)) {
    expect({ status, code: body.code }).toEqual({ status: 403, code });
    expect(got['access-control-allow-origin']).toBeUndefined();
    expect(got['content-type']).toBe('application/problem+json');
  }
  expect([started, tokensFor]).toEqual([[], []]);
});

test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'application/jsonx', ''])(
  'a body of the type %j, which needs no preflight or is no JSON, does nothing',
  async (type) => {
    const { ask, started } = await bench();
    const answer = await ask('POST', '/actions', { body: ACTION, headers: { 'content-type': type } });
    expect(answer).toMatchObject({ status: 415, body: { code: 'not-json' } });
    expect(started).toEqual([]);
  },
);

test.each([
  '',
  '[]',
  '{"what":"kill-everything"}',
  '{"what":"kill-api","more":1}',
  '{"what":"terminate-workflow"}',
  '{"what":"terminate-workflow","conversation":"../x"}',
])('%j is no action', async (body) => {
  const { ask, started } = await bench();
  expect(await ask('POST', '/actions', { body })).toMatchObject({ status: 400, body: { code: 'malformed' } });
  expect(started).toEqual([]);
});

test.each([
  '{}',
  '{"user":""}',
  '{"user":".."}',
  `{"user":"${'x'.repeat(256)}"}`,
  '{"user":"alice","scope":"operator"}',
])('%j gets no token', async (body) => {
  const { ask, tokensFor } = await bench();
  expect((await ask('POST', '/tokens', { body })).status).toBe(400);
  expect(tokensFor).toEqual([]);
});

test('a long body is refused, and the server goes on', async () => {
  const { ask, act } = await bench();
  const body = JSON.stringify({ what: 'x'.repeat(100_000) });
  expect(await ask('POST', '/actions', { body })).toMatchObject({ status: 413, body: { code: 'too-large' } });
  expect((await act('kill-api')).status).toBe(202);
});

test('where another issuer signs the tokens, there is nothing that makes them', async () => {
  const { ask } = await bench({ makeToken: undefined });
  expect(await ask('POST', '/tokens', { body: '{"user":"alice"}' })).toMatchObject({ status: 404 });
});

test('what is refused says why; unknown paths and methods are told', async () => {
  const { ask, act } = await bench({
    actions: {
      start: () => Promise.reject(new Refusal(409, 'another-action', 'Something else is being done: kill-api.')),
      running: () => undefined,
      idle: () => Promise.resolve(),
      onChange: () => undefined,
    },
  });
  expect(await act('kill-worker')).toMatchObject({
    status: 409,
    body: { status: 409, code: 'another-action', detail: 'Something else is being done: kill-api.' },
  });
  expect((await ask('GET', '/nowhere')).status).toBe(404);
  expect((await ask('GET', '/constructor')).status).toBe(404);
  expect((await ask('GET', '/actions')).status).toBe(405);
});

test('a stream has the last lines of the terminal and the state at once, and then what changes', async () => {
  const { follow, states, terminal } = await bench();
  for (let i = 1; i <= 60; i++) terminal.say(`line ${i}`);
  terminal.say('x'.repeat(10_000));
  const stream = await follow();
  onTestFinished(stream.close);
  await waitUntil(() => stream.state() !== undefined, { what: 'the state has come' });
  expect([stream.said.length, stream.said[0], stream.said.at(-1)?.length]).toEqual([50, 'line 12', 2000]);
  expect(stream.state()).toMatchObject({
    backup: null,
    action: null,
    parts: [{ name: 'postgres', state: 'down' }, {}, {}, {}],
  });
  states.set('postgres', 'running');
  states.set('postgres', 'down');
  states.set('postgres', 'running');
  states.set('grafana', 'running');
  await waitUntil(() => stream.part('postgres')?.restarts === 1, { what: 'the restart is counted' });
  expect(stream.part('postgres')?.state).toBe('running');
  terminal.say('one more');
  await waitUntil(() => stream.said.at(-1) === 'one more', { what: 'the line has come' });
});

test('a reader that does not read is closed, and others hear everything', async () => {
  const { ports, follow, terminal } = await bench();
  const slow = connect(ports.control, '127.0.0.1');
  onTestFinished(() => void slow.destroy());
  slow.write(
    `GET /events HTTP/1.1\r\nHost: localhost:${ports.control}\r\nOrigin: http://localhost:${ports.api}\r\n\r\n`,
  );
  await once(slow, 'readable');
  let closed = false;
  slow.once('error', () => (closed = true)).once('close', () => (closed = true));
  const stream = await follow();
  onTestFinished(stream.close);
  let said = 0;
  await waitUntil(
    () => {
      // Together more than the system keeps for a socket.
      for (let i = 0; i < 50; i++) terminal.say(`${++said} ${'x'.repeat(1990)}`);
      slow.write('x');
      return closed;
    },
    { what: 'the slow reader is closed' },
  );
  await waitUntil(() => stream.said.at(-1)?.startsWith(`${said} `) === true, {
    what: 'the other has heard everything',
  });
  expect(stream.said).toHaveLength(said);
});

test('the number of streams is bounded', async () => {
  const { follow, ask } = await bench();
  const streams = await Promise.all(Array.from({ length: 64 }, follow));
  onTestFinished(() => streams.forEach(({ close }) => close()));
  expect(await ask('GET', '/events')).toMatchObject({ status: 503, body: { code: 'too-many-streams' } });
  streams[0]?.close();
  await tryUntil(
    async () => {
      const stream = await follow();
      onTestFinished(stream.close);
      await waitUntil(() => stream.state() !== undefined, { what: 'it is a stream', timeoutMs: 500 });
    },
    { what: 'another one fits' },
  );
});
