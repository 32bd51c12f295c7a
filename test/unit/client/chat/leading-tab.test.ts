import { expect, test } from 'vitest';
import { ChatClosedError } from '../../../../client/chat/closed.ts';
import type { Chat } from '../../../../client/index.ts';
import { problemOf } from '../../../../client/api/problem.ts';
import { lead } from '../../../../client/tabs/leading-tab.ts';
import type { TabMessage } from '../../../../client/tabs/tab-messages.ts';

/** A tab that leads, whose chat answers `policy` as given. */
function tab(policy: () => Promise<unknown>): {
  readonly said: TabMessage[];
  readonly ask: (...given: readonly unknown[]) => void;
  isClosed: boolean;
} {
  let hear: (message: TabMessage) => void = () => undefined;
  const chat = { on: () => () => undefined, user: 'alice', device: 'phone', state: {}, policy } as unknown as Chat;
  const shown = {
    said: [] as TabMessage[],
    isClosed: false,
    ask: (...given: readonly unknown[]) => hear({ kind: 'call', id: '1', call: 'policy', given }),
  };
  lead(chat, {
    send: (message) => {
      if (shown.isClosed) throw new Error('the channel is closed');
      shown.said.push(message);
    },
    on: (listener) => {
      hear = listener;
      return () => undefined;
    },
  });
  shown.said.splice(0);
  return shown;
}

/** What was begun has been answered: promises come before the next turn of the event loop. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a tab that leads answers with the result, or with the problem', async () => {
  const good = tab(() => Promise.resolve('rules'));
  good.ask('id');
  await settled();
  expect(good.said).toEqual([{ kind: 'answer', id: '1', result: 'rules' }]);
  const bad = tab(() => {
    throw problemOf(404, 'not-found', 'It is not there');
  });
  bad.ask('id');
  await settled();
  expect(bad.said).toMatchObject([{ kind: 'answer', id: '1', failure: { problem: { code: 'not-found' } } }]);
});

test('a chat that is closed answers nothing: the next tab is asked', async () => {
  const closing = tab(() => Promise.reject(new ChatClosedError()));
  closing.ask('id');
  await settled();
  expect(closing.said).toEqual([]);
});

test('an answer that comes when the channel is closed is nobody’s error', async () => {
  // vitest reports what nobody caught.
  for (const answer of [() => Promise.resolve('rules'), () => Promise.reject(new Error('refused'))]) {
    const gone = tab(answer);
    gone.isClosed = true;
    gone.ask('id');
    await settled();
    expect(gone.said).toEqual([]);
  }
});
