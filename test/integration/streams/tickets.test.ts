import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { STREAM_TICKETS_PER_USER } from '../../../domain/limits.ts';
import { type EventStream, seqsOf as seqsOfOne } from '../../../tools/harness/event-stream.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { delivered, untilEnd } from '../../harness/streams/delivered.ts';
import { useReplicas } from '../../harness/streams/replica.ts';

const {
  database,
  talk,
  /** The second hears no notifications, and a user has one stream in the third. */
  replicas: [one, deaf, narrow],
} = useReplicas({}, { deaf: true }, { perUser: 1 });
const ACCOUNT = '/v1/events';
let count = 0;
const someone = (name: string): string => `${name}-${++count}`;
const streamOf = (conversation: string): string => `/v1/conversations/${conversation}/events`;

interface Made {
  readonly ticket: string;
  readonly expiresAt: string;
}

async function make(user: string, path: string, more: { device?: string; expiresIn?: string } = {}): Promise<Made> {
  const headers = { authorization: `Bearer ${await tokenOf(user, more)}` };
  const answer = await one.service.ask('POST /v1/stream-tickets', { body: { path }, headers });
  if (answer.status !== 201) throw new Error(answer.text);
  return answer.body as unknown as Made;
}

async function untilSeqs(stream: EventStream, seqs: readonly number[]): Promise<void> {
  await waitUntil(() => seqsOfOne(stream).length >= seqs.length, { what: 'the entries come' });
  expect(seqsOfOne(stream)).toEqual(seqs);
}

test('a ticket opens its stream, and opens it again after the last event', async () => {
  const alice = someone('alice');
  const id = await talk.create(alice);
  await talk.say(id, alice);
  const { ticket } = await make(alice, streamOf(id));
  const first = await one.followWith(ticket, streamOf(id));
  expect(first.status).toBe(200);
  await untilSeqs(first, [1]);
  first.close();
  await talk.say(id, alice);
  const again = await one.followWith(ticket, streamOf(id), 1);
  await untilSeqs(again, [2]);
});

test('a ticket for all conversations has the device of its token', async () => {
  const alice = someone('alice');
  const id = await talk.create(alice);
  await talk.say(id, alice);
  const { ticket } = await make(alice, ACCOUNT, { device: 'tablet' });
  const page = await one.followWith(ticket, ACCOUNT);
  await waitUntil(() => delivered(page).some(({ event }) => event === 'entry'), { what: 'the entry comes' });
  // The same device with a token: so it is the same one.
  await one.follow(alice, 'tablet');
  expect(await untilEnd(page)).toMatchObject({ event: 'replaced' });
  // The device acknowledged nothing, so its next stream begins there again.
  const next = await one.followWith(ticket, ACCOUNT);
  await waitUntil(() => delivered(next).some(({ event }) => event === 'entry'), { what: 'the entry comes again' });
});

test('the older connection of a ticket ends, in the same process and in another one without notifications', async () => {
  const alice = someone('alice');
  const id = await talk.create(alice);
  const { ticket } = await make(alice, streamOf(id));
  const first = await deaf.followWith(ticket, streamOf(id));
  const second = await deaf.followWith(ticket, streamOf(id));
  expect(await untilEnd(first)).toEqual({ event: 'replaced' });
  const third = await one.followWith(ticket, streamOf(id));
  expect(await untilEnd(second)).toEqual({ event: 'replaced' });
  await talk.say(id, alice);
  await untilSeqs(third, [1]);
});

test('it reopens also where its own older connection takes the last place', async () => {
  const alice = someone('alice');
  const id = await talk.create(alice);
  const { ticket } = await make(alice, streamOf(id));
  const first = await narrow.followWith(ticket, streamOf(id));
  const second = await narrow.followWith(ticket, streamOf(id));
  expect(second.status).toBe(200);
  expect(await untilEnd(first)).toEqual({ event: 'replaced' });
  const other = await narrow.followWith((await make(alice, streamOf(id))).ticket, streamOf(id));
  expect(other.status).toBe(429);
});

test('a ticket is no authentication for anything else', async () => {
  const alice = someone('alice');
  const [id, other] = [await talk.create(alice), await talk.create(alice)];
  const tickets = [(await make(alice, streamOf(id))).ticket, (await make(alice, ACCOUNT)).ticket];
  for (const ticket of tickets) {
    for (const path of [
      `/v1/conversations/${id}`,
      `/v1/conversations/${id}/messages`,
      '/v1/conversations',
      '/v1/devices',
    ]) {
      expect((await one.service.ask(`GET ${path}?ticket=${ticket}`)).status, path).toBe(401);
    }
    expect(
      (await one.service.ask(`POST /v1/stream-tickets?ticket=${ticket}`, { body: { path: ACCOUNT } })).status,
    ).toBe(401);
    expect((await one.followWith(ticket, streamOf(other))).status).toBe(401);
  }
  expect((await one.followWith(tickets[0] ?? '', ACCOUNT)).status).toBe(401);
  expect((await one.followWith(tickets[1] ?? '', streamOf(id))).status).toBe(401);
  // None of it used one up.
  expect((await one.followWith(tickets[0] ?? '', streamOf(id))).status).toBe(200);
  expect((await one.followWith(tickets[1] ?? '', ACCOUNT)).status).toBe(200);
});

test.each(['', 'x', 'A'.repeat(43), 'A'.repeat(5000), "' or true --"])('"%s" is no ticket', async (ticket) => {
  const answer = await one.followWith(ticket, ACCOUNT);
  expect(answer.status).toBe(401);
  expect(JSON.parse(answer.text())).toMatchObject({ code: 'unauthenticated' });
});

test('two tickets in one query are none', async () => {
  const { ticket } = await make(someone('alice'), ACCOUNT);
  expect((await one.service.ask(`GET ${ACCOUNT}?ticket=${ticket}&ticket=${ticket}`)).status).toBe(401);
});

test('with a token, the token counts', async () => {
  const alice = someone('alice');
  const { ticket } = await make(alice, ACCOUNT);
  const headers = { authorization: 'Bearer forged.token.here' };
  expect((await one.service.ask(`GET ${ACCOUNT}?ticket=${ticket}`, { headers })).status).toBe(401);
  expect((await one.followWith(ticket, ACCOUNT)).status).toBe(200);
});

test('a ticket must be used within 30 seconds, and then lasts as long as the token', async () => {
  const alice = someone('alice');
  const [late, used] = [await make(alice, ACCOUNT), await make(alice, ACCOUNT)];
  expect(await ticketsOf(alice)).toEqual([
    { expiresAt: late.expiresAt, seconds: 30 },
    { expiresAt: used.expiresAt, seconds: 30 },
  ]);
  (await one.followWith(used.ticket, ACCOUNT)).close();
  await advance(alice, 31);
  expect((await one.followWith(late.ticket, ACCOUNT)).status).toBe(401);
  expect((await one.followWith(used.ticket, ACCOUNT)).status).toBe(200);
  await advance(alice, 24 * 3600);
  expect((await one.followWith(used.ticket, ACCOUNT)).status).toBe(401);
});

test('its stream ends with the token that it was made with, and the ticket dies', async () => {
  const { ticket, expiresAt, path, stream, stored } = await tryUntil(
    async () => {
      const alice = someone('alice');
      const path = streamOf(await talk.create(alice));
      const made = await make(alice, path, { expiresIn: '3s' });
      const [stored] = await ticketsOf(alice);
      const stream = await one.followWith(made.ticket, path);
      expect(stream.status).toBe(200);
      return { ...made, path, stream, stored };
    },
    { what: 'the stream opens while its token counts' },
  );
  expect(stored?.expiresAt).toBe(expiresAt);
  expect(stored?.seconds).toBeLessThanOrEqual(3);
  expect(await untilEnd(stream)).toMatchObject({ event: 'reconnect' });
  expect((await one.followWith(ticket, path)).status).toBe(401);
});

test('what a caller may not follow gives no ticket, and says nothing', async () => {
  const [alice, mallory] = [someone('alice'), someone('mallory')];
  const id = await talk.create(alice);
  const ask = (path: string, user = mallory): Promise<{ status: number }> =>
    one.service.ask('POST /v1/stream-tickets', { user, body: { path } });
  expect((await ask(streamOf(id))).status).toBe(404);
  expect((await ask(streamOf('q83vEjRWeJASNFZ4kBI0Vg'))).status).toBe(404);
  expect((await ask(`${streamOf(id)}?after=latest`, alice)).status).toBe(201);
  for (const path of [
    '/v1/ack',
    '/v1/events/',
    `https://evil.example${ACCOUNT}`,
    '//evil/v1/events',
    '/v1/conversations/./events',
  ]) {
    expect((await ask(path)).status, path).toBe(400);
  }
});

test('who is removed gets the rest and `removed` with a ticket too', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const id = await talk.create(alice, bob);
  const { ticket } = await make(bob, streamOf(id));
  const stream = await one.followWith(ticket, streamOf(id));
  const seq = await talk.remove(id, alice, bob);
  expect(await untilEnd(stream)).toEqual({ event: 'removed', seq });
});

test('forgetting the device and erasing the user end tickets and their streams', async () => {
  const alice = someone('alice');
  const id = await talk.create(alice);
  const phone = (await make(alice, streamOf(id), { device: 'phone' })).ticket;
  const laptop = (await make(alice, streamOf(id), { device: 'laptop' })).ticket;
  const [onPhone, onLaptop] = [await deaf.followWith(phone, streamOf(id)), await deaf.followWith(laptop, streamOf(id))];
  await talk.expect('DELETE /v1/devices/phone', alice);
  expect(await untilEnd(onPhone)).toEqual({ event: 'replaced' });
  expect((await one.followWith(phone, streamOf(id))).status).toBe(401);
  expect(onLaptop.endedAt()).toBeUndefined();
  await talk.expect('DELETE /v1/me', alice);
  await untilEnd(onLaptop);
  expect((await one.followWith(laptop, streamOf(id))).status).toBe(401);
  const { rowCount } = await database().pool.query('select from stream_ticket where user_id = $1', [alice]);
  expect(rowCount).toBe(0);
});

test('a user has a bounded number of tickets: those that were used longest ago go first', async () => {
  const alice = someone('alice');
  const [used, unused] = [await make(alice, ACCOUNT), await make(alice, ACCOUNT)];
  await one.followWith(used.ticket, ACCOUNT);
  for (let i = 0; i < STREAM_TICKETS_PER_USER - 1; i++) await make(alice, ACCOUNT);
  const { rowCount } = await database().pool.query('select from stream_ticket where user_id = $1', [alice]);
  expect(rowCount).toBe(STREAM_TICKETS_PER_USER);
  expect((await one.followWith(unused.ticket, ACCOUNT)).status).toBe(401);
  expect((await one.followWith(used.ticket, ACCOUNT)).status).toBe(200);
});

test('a ticket stands nowhere: not in the database, not in the log, not for an Idempotency-Key', async () => {
  const alice = someone('alice');
  const headers = { authorization: `Bearer ${await tokenOf(alice)}`, 'idempotency-key': someone('key') };
  const ask = async (): Promise<string> =>
    (await one.service.ask('POST /v1/stream-tickets', { body: { path: ACCOUNT }, headers })).body.ticket as string;
  const [first, second] = [await ask(), await ask()];
  expect(second).not.toBe(first);
  const id = await talk.create(alice);
  (await one.followWith(first, ACCOUNT)).close();
  (await one.followWith(second, streamOf(id))).close();
  const lineOf = (status: number, route: string): boolean =>
    one.service.logs().some((line) => line.status === status && line.route === route);
  await waitUntil(() => lineOf(200, ACCOUNT) && lineOf(401, '/v1/conversations/{id}/events'), {
    what: 'they are logged',
  });
  const { rows } = await database().pool.query<{ all: string }>(
    `select coalesce((select string_agg(t::text, ' ') from stream_ticket t), '')
       || coalesce((select string_agg(i::text, ' ') from idempotency i), '') as all`,
  );
  expect(rows[0]?.all).toContain(createHash('sha256').update(first).digest('hex'));
  for (const ticket of [first, second]) {
    expect(rows[0]?.all).not.toContain(ticket);
    expect(JSON.stringify(one.service.logs())).not.toContain(ticket);
  }
});

/** As if so many seconds had passed for the tickets of a user. */
async function advance(user: string, seconds: number): Promise<void> {
  await database().pool.query(
    `update stream_ticket set expires_at = expires_at - make_interval(secs => $2),
       token_expires_at = token_expires_at - make_interval(secs => $2) where user_id = $1`,
    [user, seconds],
  );
}

/** The unused tickets of a user, the oldest first: until when each must be used, and how long that is after it was made. */
async function ticketsOf(user: string): Promise<{ expiresAt: string; seconds: number }[]> {
  const { rows } = await database().pool.query<{ at: Date; seconds: number }>(
    `select expires_at as at, round(extract(epoch from expires_at - used_at))::int as seconds
     from stream_ticket where user_id = $1 order by used_at`,
    [user],
  );
  return rows.map(({ at, seconds }) => ({ expiresAt: at.toISOString(), seconds }));
}
