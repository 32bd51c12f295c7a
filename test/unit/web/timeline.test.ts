import { expect, test } from 'vitest';
import type { ChatMessage } from '../../../client/index.ts';
import type { Notice } from '../../../web/chat/notices.ts';
import { isOnlyEmoji, timelineOf } from '../../../web/chat/timeline.ts';

const NOON = new Date(2026, 10, 29, 12).getTime();
const MINUTE = 60_000;

function message(id: string, sender: string, minutes: number): ChatMessage {
  const rest = { conversation: 'c', device: '', text: id, isOwn: false, isDeleted: false } as const;
  return { id, sender, at: NOON + minutes * MINUTE, state: { kind: 'seen', seq: 1 }, ...rest };
}
const notice = (id: string, minutes: number): Notice => ({ id, at: NOON + minutes * MINUTE, level: 'info', text: id });

/** `day`, the id of a message (`*` = it shows who wrote it), or the id of a notice in brackets. */
function shown(messages: readonly ChatMessage[], notices: readonly Notice[] = []): string[] {
  return timelineOf(messages, notices).map((row) => {
    if (row.kind === 'day') return 'day';
    return row.kind === 'notice' ? `(${row.notice.id})` : `${row.message.id}${row.isFirst ? '*' : ''}`;
  });
}

test('messages of one person within five minutes are one group', () => {
  const rows = [message('a', 'bob', 0), message('b', 'bob', 4), message('c', 'bob', 10), message('d', 'alice', 10)];
  expect(shown(rows)).toEqual(['day', 'a*', 'b', 'c*', 'd*']);
});

test('a new day has a line of its own', () => {
  expect(shown([message('a', 'bob', 0), message('b', 'bob', 24 * 60)])).toEqual(['day', 'a*', 'day', 'b*']);
});

test('what happened stands between the messages of its time, and begins a new group', () => {
  const rows = [message('a', 'bob', 0), message('b', 'bob', 2)];
  expect(shown(rows, [notice('y', 9), notice('x', 1)])).toEqual(['day', 'a*', '(x)', 'b*', '(y)']);
  expect(shown([], [notice('x', 1)])).toEqual(['(x)']);
});

test('the order of the log holds, whatever the clocks of the devices said', () => {
  expect(shown([message('a', 'bob', 5), message('b', 'alice', 1)])).toEqual(['day', 'a*', 'b*']);
});

test('keys are unique', () => {
  const rows = timelineOf(
    [message('a', 'bob', 0), message('b', 'bob', 24 * 60), message('c', 'bob', 1)],
    [notice('x', 1)],
  );
  expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length);
});

test.each([
  ['🎉', true],
  ['👩‍👩‍👧 👋🏽', true],
  ['🇩🇪', true],
  ['🎉🎉🎉🎉', false],
  ['🎉!', false],
  ['1', false],
  ['', false],
  ['hi', false],
])('%o is only emoji: %s', (text, expected) => {
  expect(isOnlyEmoji(text)).toBe(expected);
});
