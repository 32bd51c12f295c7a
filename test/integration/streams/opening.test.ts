import { expect, test } from 'vitest';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { openAccountStream } from '../../../tools/harness/event-stream.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { startReplica, useReplicas } from '../../harness/streams/replica.ts';
import { untilEnd, untilDelivered } from '../../harness/streams/delivered.ts';

const PER_USER = 3;

const {
  database,
  talk,
  replicas: [one],
} = useReplicas({ perUser: PER_USER });

test('a user has a quota of open streams of all kinds; more are 429 `rate-limited` until one ends', async () => {
  const conversation = await talk.create('ann', 'ben');
  const paths = ['/v1/events', `/v1/conversations/${conversation}/events`];
  const open = [await one.follow('ann', 'a'), await one.follow('ann', 'b'), await one.followOne(conversation, 'ann')];
  for (const path of paths) {
    const answer = await one.service.ask(`GET ${path}`, { user: 'ann' });
    expect([answer.status, answer.body.code]).toEqual([429, 'rate-limited']);
    expect(answer.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
  }
  // Other users have their own quota, and refused streams do not count.
  await untilDelivered(await one.follow('ben'), conversation, ['new', '+ann', '+ben']);
  open[0]?.close();
  await waitUntil(async () => (await one.follow('ann', 'c')).status === 200, { what: 'the quota has room again' });
  expect(open.slice(1).map((stream) => stream.endedAt())).toEqual([undefined, undefined]);
});

test('a stream that could not be opened does not count', async () => {
  for (let i = 0; i <= PER_USER; i++) {
    expect((await one.service.ask('GET /v1/conversations/bm90LXRoZXJl/events', { user: 'cat' })).status).toBe(404);
  }
});

test('HEAD opens no stream, and ends none', async () => {
  const conversation = await talk.create('dan');
  const stream = await one.follow('dan', 'phone');
  const headers = { authorization: `Bearer ${await tokenOf('dan', { device: 'phone' })}` };
  for (const path of ['/v1/events', `/v1/conversations/${conversation}/events`]) {
    const answer = await fetch(`${one.service.url}${path}`, { method: 'HEAD', headers });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, OPTIONS']);
  }
  await talk.say(conversation, 'dan');
  await untilDelivered(stream, conversation, ['new', '+dan', '1']);
});

test('an account stream ends with its token', async () => {
  const stream = await tryUntil(
    async () => {
      const opened = await openAccountStream(one.service.url, await tokenOf('eve', { expiresIn: '3s' }));
      expect(opened.status).toBe(200);
      return opened;
    },
    { what: 'the stream opens while its token counts' },
  );
  expect(await untilEnd(stream)).toEqual({ event: 'reconnect' });
});

test('an account stream ends with `reconnect` when its process stops', async () => {
  const stopping = await startReplica(database());
  const stream = await stopping.follow('fay');
  stopping.closeStreams();
  expect(await untilEnd(stream)).toEqual({ event: 'reconnect' });
  await stopping.stop();
});

test('the streams of a process that stops come back at different times', async () => {
  const stopping = await startReplica(database());
  const conversation = await talk.create('gus');
  const paths = ['/v1/events', ...Array.from({ length: 5 }, () => `/v1/conversations/${conversation}/events`)];
  const headers = { authorization: `Bearer ${await tokenOf('gus')}` };
  const answers = await Promise.all(paths.map((path) => fetch(`${stopping.service.url}${path}`, { headers })));
  stopping.closeStreams();
  const texts = await Promise.all(answers.map((answer) => answer.text()));
  // Each says it twice: for a process that dies, and for one that stops.
  const hints = texts.map((text) => [...text.matchAll(/^retry: (\d+)$/gm)].map(([, ms]) => Number(ms)));
  expect(hints.map(({ length }) => length)).toEqual(paths.map(() => 2));
  expect(new Set(hints.flat()).size).toBeGreaterThan(paths.length);
  for (const ms of hints.flat()) expect(ms).toBeGreaterThanOrEqual(500);
  await stopping.stop();
});
