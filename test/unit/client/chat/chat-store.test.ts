import { describe, expect, test } from 'vitest';
import { ChatStore } from '../../../../client/chat/chat-store.ts';
import { memoryStore } from '../../../../client/index.ts';

describe('the store of a chat', () => {
  test('takes nothing more when it is closed: the next program has it', async () => {
    const kept = memoryStore();
    const store = new ChatStore(kept);
    await store.write([['group/1', 'old']]);
    await store.close();
    await kept.write([['group/1', 'of the next program']]);
    await expect(store.write([['group/1', 'late']])).rejects.toThrow('the chat is closed');
    expect(kept.entries()).toEqual([['group/1', 'of the next program']]);
  });

  test('is empty after it was erased, and stays so', async () => {
    const kept = memoryStore([['identity', 'alice']]);
    const store = new ChatStore(kept);
    const erasing = store.erase();
    await expect(store.write([['group/1', 'late']])).rejects.toThrow('the chat is closed');
    await erasing;
    expect(kept.entries()).toEqual([]);
  });

  test('is closed once', async () => {
    let closed = 0;
    const close = (): Promise<void> => {
      closed++;
      return Promise.resolve();
    };
    const store = new ChatStore({ ...memoryStore(), close });
    await store.erase();
    await store.close();
    expect(closed).toBe(1);
  });
});
