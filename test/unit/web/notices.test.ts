import { expect, test } from 'vitest';
import type { ChatConversation } from '../../../client/index.ts';
import { logWords, memberWords, rejoinWords } from '../../../web/chat/notices.ts';

const conversation = (
  epoch: number,
  users: readonly string[],
  state: ChatConversation['state'] = 'joined',
): ChatConversation => ({
  ...{ id: 'c', unread: 0, epoch, state, typing: [], requests: [] },
  members: users.map((user) => ({ user, devices: ['k'] })),
});
const texts = (before: ChatConversation, now: ChatConversation): string[] =>
  memberWords(before, now).map(({ text }) => text);

test('a commit tells who came and who went', () => {
  expect(texts(conversation(1, ['alice', 'bob']), conversation(2, ['alice', 'carol']))).toEqual([
    'carol is in the conversation now.',
    'bob is not in the conversation any more.',
  ]);
});

test('a commit that only changes keys tells nothing, and neither does a group that is being joined or repaired', () => {
  expect(texts(conversation(1, ['alice']), conversation(2, ['alice']))).toEqual([]);
  expect(texts(conversation(1, [], 'joining'), conversation(2, ['alice']))).toEqual([]);
  expect(texts(conversation(5, ['alice', 'bob'], 'repairing'), conversation(2, ['alice']))).toEqual([]);
});

test('a restore says what became of the messages', () => {
  const restarted = { type: 'log-restarted', agreed: 7, isDead: false } as const;
  expect(logWords({ ...restarted, messages: 0 }).text).toContain('No message was lost.');
  expect(logWords({ ...restarted, messages: 1 }).text).toContain('1 message is sent again by whoever wrote it.');
  expect(logWords({ ...restarted, messages: 2, isDead: true }).text).toMatch(
    /2 messages are .* joins the group again\.$/,
  );
});

test('what shows that the service is not honest is marked as dangerous', () => {
  const position = { seq: 3, chain: '' };
  const stated = { seq: 4, epoch: 1, leaf: 0, user: 'bob', theirs: position };
  expect(logWords({ type: 'log-altered', seq: 3, computed: '', given: '' }).level).toBe('danger');
  expect(logWords({ type: 'fork-suspected', ...stated }).level).toBe('danger');
  expect(logWords({ type: 'stale-branch', ...stated }).level).toBe('info');
});

test('a reason that this page does not know is shown as it is', () => {
  expect(rejoinWords('toString').text).toBe('This device joined the group again (toString).');
  expect(rejoinWords('log-restarted').text).not.toContain('(');
});
