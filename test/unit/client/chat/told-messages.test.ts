import { expect, test } from 'vitest';
import type { ChatMessage, ChatState } from '../../../../client/index.ts';
import { ToldMessages } from '../../../../client/tabs/told-messages.ts';

const message = (conversation: string, seq: number): ChatMessage => ({
  ...{ id: `${conversation}-${seq}`, conversation, sender: 'bob', device: 'key', text: 'hello' },
  ...{ isOwn: false, isDeleted: false, at: 0, state: { kind: 'seen', seq } },
});

test('what is told while the history is read hides nothing that is missing, and is not told again', async () => {
  const told = new ToldMessages();
  told.note(message('a', 1));
  const histories: Record<string, ChatMessage[]> = {
    a: [1, 2, 3].map((seq) => message('a', seq)),
    b: [1, 2].map((seq) => message('b', seq)),
  };
  const state = { conversations: [{ id: 'a' }, { id: 'b' }] } as unknown as ChatState;
  const missing = await told.missing({
    state,
    history: (id, { before } = {}) => {
      if (before !== undefined) return Promise.resolve([]);
      // Both logs go on while the first of them is read.
      if (id === 'a') for (const one of [message('a', 3), message('b', 2)]) told.note(one);
      return Promise.resolve(histories[id] ?? []);
    },
  });
  expect(missing.map(({ id }) => id)).toEqual(['a-2', 'b-1']);
});
