import { expect, test } from 'vitest';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { openAccountStream } from '../../../tools/harness/event-stream.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { startReplica, useReplicas } from '../../harness/streams/replica.ts';
import { untilEnd, untilDelivered } from '../../harness/streams/delivered.ts';

const PER_USER = 3;

const {
  database,
  talk,
  replicas: [one],
} = useReplicas({ perUser: PER_USER });

test('a user has so many streams open at once, whatever they are of; more are 429 `rate-limited` until one ends', async () => {
  const conversation = await talk.create('ann', 'ben');
  const paths = ['/v1/events', `/v1/conversations/${conversation}/events`];
  const open = [await one.follow('ann', 'a'), await one.follow('ann', 'b'), await one.followOne(conversation, 'ann')];
  for (const path of paths) {
    const answer = await one.service.ask(`GET ${path}`, { user: 'ann' });
    expect([answer.status, answer.body.code]).toEqual([429, 'rate-limited']);
    expect(answer.headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
  }
  // Others have their own, and a stream that was refused took no place.
  await untilDelivered(await one.follow('ben'), conversation, ['new', '+ann', '+ben']);
  open[0]?.close();
  await waitUntil(async () => (await one.follow('ann', 'c')).status === 200, { what: 'there is a place again' });
  expect(open.slice(1).map((stream) => stream.endedAt())).toEqual([undefined, undefined]);
});

test('a stream that was not opened leaves its place', async () => {
  for (let i = 0; i <= PER_USER; i++) {
    expect((await one.service.ask('GET /v1/conversations/bm90LXRoZXJl/events', { user: 'cat' })).status).toBe(404);
  }
});

test('HEAD opens no stream, and takes the place of none', async () => {
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
  const token = await tokenOf('eve', { expiresIn: '2s' });
  const stream = await openAccountStream(one.service.url, token);
  expect(stream.status).toBe(200);
  expect(await untilEnd(stream)).toEqual({ event: 'reconnect' });
});

test('an account stream is told to reconnect when its process stops', async () => {
  const stopping = await startReplica(database());
  const stream = await stopping.follow('fay');
  stopping.closeStreams();
  expect(await untilEnd(stream)).toEqual({ event: 'reconnect' });
  await stopping.stop();
});
