import { expect, test } from 'vitest';
import { MAX_MEMBER_EVENTS } from '../../../domain/limits.ts';
import { retain } from '../../../store/retention/retention.ts';
import { useReplicas } from '../../harness/streams/replica.ts';
import { delivered, untilDelivered } from '../../harness/streams/delivered.ts';

/** What one user does makes few events for the others. */
const {
  database,
  talk,
  replicas: [one],
} = useReplicas({});
let count = 0;
const someone = (name: string): string => `${name}-${++count}`;
const many = (): string[] => Array.from({ length: MAX_MEMBER_EVENTS + 1 }, () => someone('many'));

test('many users who are added or removed together are one event with their number and a link, live and later', async () => {
  const [alice, bob] = [someone('alice'), someone('bob')];
  const live = await one.follow(bob);
  const members = many();
  const conversation = await talk.create(alice, bob, ...members);
  const url = `/v1/conversations/${conversation}/members`;
  await untilDelivered(live, conversation, ['new', 'members']);
  const event = { event: 'members', conversation, seq: 0, change: 'added', count: members.length + 2, url };
  expect(delivered(live).at(-1)).toEqual(event);

  const added = many();
  await talk.add(conversation, alice, ...added);
  await talk.expect(`POST /v1/conversations/${conversation}/commits`, alice, {
    commit: Buffer.from('remove').toString('base64'),
    removes: [...added, ...members],
  });
  const words = ['new', 'members', '1', 'members', '2', 'members'];
  await untilDelivered(live, conversation, words);
  const later = await one.follow(bob, 'laptop');
  await untilDelivered(later, conversation, words);
  for (const stream of [live, later]) {
    const events = delivered(stream).filter(({ event: name }) => name === 'members');
    expect(events).toEqual([
      event,
      { ...event, seq: 1, change: 'added', count: added.length },
      { ...event, seq: 2, change: 'removed', count: added.length + members.length },
    ]);
  }
  // Those whom it removed hear of it, and of nothing after it.
  const [gone = ''] = added;
  await untilDelivered(await one.follow(gone), conversation, ['new', '1', 'members', '2', 'members', 'removed 2']);
});

test('up to the limit there is an event for each user', async () => {
  const alice = someone('alice');
  const members = many().slice(2);
  const conversation = await talk.create(alice, ...members);
  const words = ['new', ...[alice, ...members].map((user) => `+${user}`).sort()];
  await untilDelivered(await one.follow(alice), conversation, words);
});

test('many Welcomes that expire together are one event with their number', async () => {
  const alice = someone('alice');
  const conversation = await talk.create(alice);
  const added = many();
  await talk.add(conversation, alice, ...added);
  await retain(database().pool, conversation, Date.now() + 31 * 86_400_000, 1000);
  const stream = await one.follow(alice);
  await untilDelivered(stream, conversation, ['new', `+${alice}`, '1', 'members', 'welcome-expired']);
  expect(delivered(stream).at(-1)).toEqual({
    event: 'conversation',
    conversation,
    change: 'welcome-expired',
    seq: 1,
    count: added.length,
  });
});
