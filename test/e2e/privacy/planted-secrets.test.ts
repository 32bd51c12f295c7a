import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createHttp, MlsDevice, ParleyClient, toBase64 } from '../../../client/index.ts';
import { tsMls } from '../../../client/ts-mls/index.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { useService } from '../../harness/service.ts';
import type { Service } from '../../../tools/harness/service.ts';
import { openAccountStream } from '../../../tools/harness/event-stream.ts';
import { type LifeReader, readLife } from '../../harness/streams/life.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { type RunRecord, readRuns } from '../../integration/privacy/histories.ts';
import { type Secret, findSecrets, secretBytes, secretText } from './secrets.ts';

const TIMEOUT_MS = 120_000;
/** Id of a message whose decision fails. Its staged row then stays until the sweep. */
const POISON = 'poison';

/** Unique texts. Each place that contains one of them has the planted value. */
function plant(): Record<
  'user' | 'device' | 'plaintext' | 'payload' | 'welcome' | 'signal' | 'key' | 'reason' | 'deletion',
  string
> {
  const mark = (name: string): string => `${name}-${randomUUID()}`;
  return {
    user: mark('person'),
    device: mark('device'),
    plaintext: mark('plaintext'),
    payload: mark('payload'),
    welcome: mark('welcome'),
    signal: mark('signal'),
    key: mark('key'),
    reason: mark('reason'),
    deletion: mark('deletion'),
  };
}

type Planted = ReturnType<typeof plant>;

/** One of the planted users on one device. */
interface Person {
  readonly user: string;
  readonly device: string;
  readonly token: string;
  readonly api: ParleyClient;
  /** Sends a request unchanged and accepts any answer. @returns the status */
  readonly ask: (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<number>;
}

async function person(service: Service, planted: Planted, name: string): Promise<Person> {
  const user = `${name}-${planted.user}`;
  const device = `${name}-${planted.device}`;
  const token = await tokenOf(user, { device });
  const baseUrl = service.apis[0]?.url ?? '';
  return {
    user,
    device,
    token,
    api: new ParleyClient(createHttp({ baseUrl, token: () => token })),
    ask: async (method, path, body, headers = {}) => {
      const response = await fetch(`${baseUrl}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      await response.arrayBuffer();
      return response.status;
    },
  };
}

describe.each([
  ['workflow', { CONVERSATION_PATH: 'workflow' }],
  ['direct', { CONVERSATION_PATH: 'direct' }],
] as const)('after a full run on the %s path', (path, env) => {
  const running = useService({ apis: 1, workers: 1, env: { LOG_LEVEL: 'debug', ...env } });
  const planted = plant();
  const tokens: Secret[] = [];
  /** Bytes that the service got, read back from the tables where they belong. */
  const stored: Secret[] = [];
  let runs: readonly RunRecord[] = [];
  /** What operators were told of conversations while all this happened. */
  const lives: LifeReader[] = [];
  let poisoned = '';

  const people = (): Secret[] => [secretText('user', planted.user), secretText('device', planted.device)];
  const contents = (): Secret[] => [
    ...(['plaintext', 'payload', 'welcome', 'signal', 'key', 'reason', 'deletion'] as const).map((name) =>
      secretText(name, planted[name]),
    ),
    ...tokens,
    ...stored,
  ];
  const bytesOf = (text: string): string => toBase64(Buffer.from(text));

  async function actInOpaque(alice: Person, bob: Person, carol: Person): Promise<void> {
    const id = newConversationId();
    const at = `/v1/conversations/${id}`;
    const members = [bob.user];
    await alice.api.createConversation({ id, protocol: 'opaque', members, policy: { groupInfo: 'optional' } });
    await watchLife(id);
    const message = (text: string): { id: string; ciphertext: string } => ({
      id: randomUUID(),
      ciphertext: bytesOf(`${text} ${planted.payload}`),
    });
    const keyed = { 'idempotency-key': `"${planted.key}"` };
    expect(await alice.ask('POST', `${at}/messages`, message('keyed'), keyed)).toBe(200);
    await bob.api.sendAll(id, [message('one'), message('two')]);
    const deleteHash = createHash('sha256').update(planted.deletion).digest('hex');
    const { seq } = await bob.api.send(id, { ...message('short-lived'), deleteHash });
    const secret = bytesOf(planted.deletion);
    expect(await bob.ask('DELETE', `${at}/messages/${seq - 1}`, { secret })).toBe(403);
    expect(await bob.ask('DELETE', `${at}/messages/${seq}`, { secret })).toBe(200);
    await bob.ask('DELETE', `${at}/messages/${seq}`, { secret: planted.deletion });
    const commit = (text: string): object => ({
      commit: bytesOf(`${text} ${planted.payload}`),
      welcome: bytesOf(`${text} ${planted.welcome}`),
      groupInfo: bytesOf(`group-info ${text} ${planted.payload}`),
      id: randomUUID(),
    });
    expect(await alice.ask('POST', `${at}/commits`, { ...commit('add'), adds: [carol.user], epoch: 0 })).toBe(200);
    // This commit comes too late and is lost.
    expect(await bob.ask('POST', `${at}/commits`, { ...commit('late'), epoch: 0 })).toBe(409);
    await carol.api.welcomes();
    await sendSignals(alice, bob, id);
    // Nobody collects this Welcome.
    const dave = `dave-${planted.user}`;
    expect(await alice.ask('POST', `${at}/commits`, { ...commit('more'), adds: [dave], epoch: 1 })).toBe(200);
    await alice.api.setRole(id, bob.user, 'admin');
    await bob.api.markRead(id);
    expect(await bob.api.markUnread(id, 1)).toBe(3);
    await bob.api.markRead(id);
    await bob.api.incrementUnread(id, 2);
    await bob.api.report(id, { seq: 1, epoch: 1, reason: `I am stuck: ${planted.reason}` });
    await alice.api.removeMember(id, carol.user);
    await bob.api.leave(id, bob.user);

    // These are likely to be logged: refusals, bad input, and secrets in wrong places.
    await bob.ask('POST', `${at}/messages`, message('too late'));
    await alice.ask('POST', `${at}/messages`, `{"ciphertext": "${planted.payload}`);
    await alice.ask('POST', `${at}/messages`, { id: planted.key, ciphertext: planted.payload });
    await alice.ask('POST', `${at}/commits`, { commit: planted.payload, adds: planted.user });
    await alice.ask('POST', `/v1/${planted.payload}?token=${planted.key}`, {});
    await alice.ask('GET', `/v1/conversations/${planted.payload}?cursor=${planted.key}`);
    await alice.ask('GET', '/v1/conversations', undefined, { authorization: `Bearer ${planted.key}` });
    await useTickets(alice, `${at}/events`);
    await alice.ask('POST', `${at}/read`, { seq: planted.payload }, { 'idempotency-key': `"${planted.key}` });
  }

  /** Signals that arrive, and some that do not; their bytes and their keys must be nowhere afterwards. */
  async function sendSignals(alice: Person, bob: Person, id: string): Promise<void> {
    const stream = await openAccountStream(running().apis[0]?.url ?? '', bob.token);
    const at = `/v1/conversations/${id}/signals`;
    const body = { data: bytesOf(`typing ${planted.signal}`) };
    const keyed = { 'idempotency-key': `"signal ${planted.key}"` };
    await waitUntil(
      async () => {
        expect(await alice.ask('POST', at, body, keyed)).toBe(202);
        return stream.events.some(({ event }) => event === 'signal');
      },
      { what: 'bob gets a signal' },
    );
    stream.close();
    expect(await alice.ask('POST', at, { data: bytesOf(planted.signal.repeat(110)) })).toBe(413);
    expect(await alice.ask('POST', at, { data: planted.signal })).toBe(400);
    const { data } = body;
    expect(await alice.ask('POST', `/v1/conversations/${newConversationId()}/signals`, { data }, keyed)).toBe(404);
  }

  async function watchLife(id: string): Promise<void> {
    lives.push(await readLife(running().apis[0]?.url ?? '', id, await tokenOf('operator')));
  }

  /** Opens streams with a ticket, also ones that it is not for. */
  async function useTickets(alice: Person, stream: string): Promise<void> {
    const { ticket } = await alice.api.streamTicket(stream);
    tokens.push(secretText('ticket', ticket));
    const url = running().apis[0]?.url ?? '';
    for (const [target, status] of [
      [`${stream}?ticket=${ticket}`, 200],
      [`${stream}?ticket=${ticket}&after=${planted.payload}`, 400],
      [`/v1/events?ticket=${ticket}`, 401],
      [`/v1/devices?ticket=${ticket}`, 401],
      [`/nowhere/${ticket}?ticket=${ticket}`, 404],
    ] as const) {
      const answer = await fetch(`${url}${target}`);
      expect(answer.status).toBe(status);
      await answer.body?.cancel();
    }
  }

  async function actInMls(alice: Person, bob: Person): Promise<void> {
    const open = ({ api, user, device }: Person): Promise<MlsDevice> =>
      MlsDevice.open({ mls: tsMls, api, user, device, keyPackages: 2 });
    const phone = await open(alice);
    const laptop = await open(bob);
    const group = await phone.createGroup();
    await watchLife(group.id);
    await phone.invite(group.id, bob.user);
    const [joined] = await laptop.joinGroups();
    if (joined === undefined) throw new Error('Bob did not join');
    await joined.send(`from bob ${planted.plaintext}`);
    await group.receive();
    await group.send(`from alice ${planted.plaintext}`);
    await group.signal(new TextEncoder().encode(`typing ${planted.signal}`));
    await laptop.sync();
    const regretted = await group.send(`regretted ${planted.plaintext}`);
    await group.delete(regretted.seq);
    await laptop.sync();
    await laptop.forget(group.id);
    await laptop.joinExternally(group.id);
    await phone.sync();
    await laptop.group(group.id).send(`back again ${planted.plaintext}`);
    await phone.sync();
  }

  /** Makes the database repeat stored values in its error messages, and then breaks its connections. */
  async function breakPostgres(alice: Person): Promise<void> {
    const { pool } = running();
    poisoned = newConversationId();
    await alice.api.createConversation({ id: poisoned, protocol: 'opaque', policy: { groupInfo: 'optional' } });
    await watchLife(poisoned);
    await pool.query(`create function poison_entry() returns trigger language plpgsql as $$ begin
      raise exception 'bad value "%" of "%"', convert_from(new.ciphertext, 'UTF8'), new.sender
        using detail = convert_from(new.ciphertext, 'UTF8'), hint = new.sender; end $$`);
    await pool.query(`create trigger ${POISON} before insert on entry for each row when (new.message_id = '${POISON}')
      execute function poison_entry()`);
    await pool.query(`create function poison_conversation() returns trigger language plpgsql as $$ begin
      raise exception 'bad value "%"', new.created_by using detail = new.created_by; end $$`);
    await pool.query(`create trigger ${POISON} before insert on conversation for each row when (new.epoch = 77)
      execute function poison_conversation()`);
    const at = `/v1/conversations/${poisoned}/messages`;
    expect(await alice.ask('POST', at, { id: POISON, ciphertext: bytesOf(planted.payload) })).toBe(500);
    const spoilt = { id: newConversationId(), protocol: 'opaque', epoch: 77 };
    expect(await alice.ask('POST', '/v1/conversations', spoilt)).toBe(500);
    await pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and application_name like 'parley-%'`,
    );
    await alice.api.send(poisoned, { id: randomUUID(), ciphertext: bytesOf(planted.payload) });
  }

  test(
    'it does everything that could reveal a secret',
    async () => {
      const service = running();
      const [alice, bob, carol] = await Promise.all(['alice', 'bob', 'carol'].map((n) => person(service, planted, n)));
      if (alice === undefined || bob === undefined || carol === undefined) throw new Error('there is nobody');
      for (const { user, token } of [alice, bob, carol]) {
        tokens.push(secretText(`token of ${user}`, token.split('.').at(-1) ?? ''));
      }
      await actInOpaque(alice, bob, carol);
      await actInMls(alice, bob);
      await breakPostgres(alice);

      const { rows } = await service.pool.query<{ place: string; bytes: Buffer }>(
        `select 'entry ' || e.kind as place, e.ciphertext as bytes
           from entry e join conversation c on c.key = e.conversation where c.protocol = 'mls' and e.ciphertext is not null
         union all select 'GroupInfo', g.group_info
           from group_info g join conversation c on c.key = g.conversation where c.protocol = 'mls'
         union all select 'key package', key_package from key_package`,
      );
      // A part of the bytes is enough to find them. They may be large.
      for (const { place, bytes } of rows) {
        if (bytes.length >= 16) stored.push(secretBytes(place, bytes.subarray(-48)));
      }
      expect(new Set(stored.map(({ name }) => name))).toEqual(
        new Set(['entry application', 'entry commit', 'GroupInfo', 'key package']),
      );
      const ids = (await service.pool.query<{ id: string }>('select id from conversation')).rows.map(({ id }) => id);
      // The direct path has no histories.
      await waitUntil(
        async () => {
          runs = await readRuns(service.temporal, service.taskQueue);
          const known = new Set(runs.map(({ workflowId }) => workflowId));
          return path === 'direct' || ids.every((id) => known.has(`conversation/${id}`));
        },
        { what: 'Temporal lists every conversation', timeoutMs: 20_000 },
      );
    },
    TIMEOUT_MS,
  );

  test('streams of facts tell operators what happened, and nothing that is secret', async () => {
    const [opaque, mls, broken] = lives;
    // A new stream tells the newest facts again, also those that came after the first one had ended.
    for (const life of lives) await life.until('entry', 'entries were told');
    const facts = (life: LifeReader | undefined): string => JSON.stringify(life?.events);
    for (const life of lives) {
      expect(findSecrets(facts(life), contents())).toEqual([]);
      life.close();
    }
    // Where the log names senders, its facts do.
    expect(findSecrets(facts(opaque), people())).toContain('user');
    expect(mls?.of('entry').filter(({ kind, sender }) => kind === 'application' && sender !== undefined)).toEqual([]);
    expect(broken?.of('operation').map(({ outcome }) => outcome)).toContain('internal');
    if (path === 'workflow') expect(facts(opaque)).toContain('"kind\\":\\"updateAccepted');
  });

  test('rows of application messages of mls conversations have no sender, and no staged bytes remain', async () => {
    const { pool } = running();
    const { rows } = await pool.query<{ row: string; sender: string | null; protocol: string }>(
      `select e::text as row, e.sender, c.protocol from entry e join conversation c on c.key = e.conversation
       where e.kind = 'application'`,
    );
    const ofMls = rows.filter(({ protocol }) => protocol === 'mls');
    expect(ofMls.length).toBeGreaterThanOrEqual(3);
    for (const { row, sender } of ofMls) expect([sender, findSecrets(row, people())]).toEqual([null, []]);
    const { rows: waiting } = await pool.query<{ id: string }>(
      'select c.id from staged s join conversation c on c.key = s.conversation',
    );
    expect(waiting.filter(({ id }) => id !== poisoned)).toEqual([]);
  });

  test('each table contains only its own kind of data, and no plaintext, token or Idempotency-Key', async () => {
    const { pool } = running();
    const holders: Record<string, string[]> = {};
    const tables = await pool.query<{ name: string }>(
      `select table_name as name from information_schema.tables where table_schema = 'parley'`,
    );
    const secrets = [...people(), ...contents()];
    for (const { name } of tables.rows) {
      // Postgres writes bytes as hexadecimal text.
      const { rows } = await pool.query<{ row: string }>(
        name === 'staged'
          ? // The operation that could not be decided waits for the sweep.
            `select s::text as row from staged s join conversation c on c.key = s.conversation where c.id <> '${poisoned}'`
          : `select t::text as row from ${name} t`,
      );
      const text = rows.map(({ row }) => row).join('\n');
      for (const found of new Set(findSecrets(text, secrets))) (holders[found] ??= []).push(name);
    }
    const { device = [], user: _everywhere, ...found } = holders;
    for (const places of Object.values(found)) places.sort();
    expect(found).toEqual({
      payload: ['entry', 'group_info'],
      welcome: ['welcome_body'],
      reason: ['audit', 'report'],
      'entry application': ['entry'],
      'entry commit': ['entry'],
      GroupInfo: ['group_info'],
      // The answer to a claim is stored for its Idempotency-Key.
      'key package': ['idempotency', 'key_package'],
    });
    const ofDevices = [
      'change',
      'device',
      'device_leaf',
      'device_position',
      'idempotency',
      'key_package',
      'stream_ticket',
      'welcome',
    ];
    expect(device.filter((name) => !ofDevices.includes(name))).toEqual([]);
  });

  test('no log line of any process contains a secret, even where the database repeated one', () => {
    const { apis, workers } = running();
    const texts = [...apis, ...workers].map(({ logFile }) => readFileSync(logFile, 'utf8'));
    expect(texts.join('\n')).toContain('bad value');
    for (const text of texts) expect(findSecrets(text, [...people(), ...contents()])).toEqual([]);
  });

  test('no metric contains a secret or a conversation id', async () => {
    const { apis, workers, pool } = running();
    const { rows } = await pool.query<{ id: string }>('select id from conversation');
    const secrets = [...people(), ...contents(), ...rows.map(({ id }) => secretText('conversation', id))];
    for (const { url } of [...apis, ...workers]) {
      const text = await (await fetch(new URL('/metrics', url))).text();
      expect(text).toContain('parley_');
      expect(findSecrets(text, secrets)).toEqual([]);
    }
  });

  test('no history contains a payload, a token, a key, a reason, or the sender of a message or commit (invariant 10)', () => {
    expect(runs.some(({ workflowId }) => workflowId === `conversation/${poisoned}`)).toBe(path === 'workflow');
    const secrets = [...contents(), secretText('device', planted.device)];
    for (const { workflowId, text } of runs) {
      expect([workflowId, findSecrets(text, secrets)]).toEqual([workflowId, []]);
    }
    const kinds = ['message', 'group-info', 'report'];
    const sent = runs
      .flatMap(({ objects }) => objects)
      // An add or remove without a commit has no bytes, and travels whole.
      .filter(({ kind, sha256 }) => (kind === 'commit' ? sha256 !== undefined : kinds.includes(String(kind))));
    if (path === 'workflow') expect(sent.length).toBeGreaterThan(5);
    for (const operation of sent) expect(findSecrets(JSON.stringify(operation), people())).toEqual([]);
  });

  test('the search finds a planted secret in every form', () => {
    const secret = secretText('planted', planted.plaintext);
    const bytes = Buffer.from(`before ${planted.plaintext} after`);
    const forms = [
      bytes.toString(),
      encodeURIComponent(bytes.toString()),
      ...['', '1', '12'].map((before) => Buffer.from(before + bytes.toString()).toString('base64')),
      ...['', '1', '12'].map((before) => Buffer.from(before + bytes.toString()).toString('base64url')),
      bytes.toString('hex'),
      bytes.toString('hex').toUpperCase(),
    ];
    for (const form of forms) expect(findSecrets(`{"field":"${form}"}`, [secret])).toEqual(['planted']);
    expect(findSecrets(randomBytes(1000).toString('base64'), [secret])).toEqual([]);
    // It also finds an expected text where it belongs.
    expect(
      findSecrets(readFileSync(running().apis[0]?.logFile ?? '', 'utf8'), [secretText('line', 'batch decided')]),
    ).toEqual(['line']);
  });
});
