import { describe, expect, test } from 'vitest';
import { memoryStore } from '../../../../client/index.ts';
import { trustingMls } from '../../../../client/testing.ts';
import { MessageHistory } from '../../../../client/storage/message-history.ts';
import type { GroupRecord, ReceivedMessage } from '../../../../client/storage/group-store.ts';
import { GroupStore } from '../../../../client/storage/group-store.ts';

const message = (seq: number, text: string): ReceivedMessage => ({
  ...{ seq, epoch: 1, sender: 'alice', text },
  ...{ id: `id of ${text}`, device: 'phone' },
});
const shown = (messages: readonly ReceivedMessage[]): string[] =>
  messages.map(({ seq, text, lost }) => (lost === undefined ? `${seq} ${text}` : `(${seq} ${text})`));

/** A history, and what its store says after a save. */
async function filled(...texts: readonly string[]) {
  const mls = await trustingMls();
  const store = new GroupStore(memoryStore(), 'group', mls);
  const state = await mls.create(new Uint8Array(16), {
    user: 'alice',
    signatureKeyPair: await mls.newSignatureKeyPair(),
  });
  const record: GroupRecord = {
    ...{
      state,
      position: 0,
      pendingCommits: new Map(),
      sent: new Map(),
      ownProposals: new Map(),
      hasLeft: false,
      outbox: [],
    },
    ...{ chain: { links: new Map(), epochSeq: 0, lost: [] }, suspected: new Set() },
    ...{ journal: { commits: [], proposals: new Map() }, restart: undefined },
  };
  const history = new MessageHistory([]);
  for (const [i, text] of texts.entries()) history.add(message(i + 1, text), true);
  const stored = async (): Promise<string[]> => {
    await store.save(record, history.changes);
    history.saved(history.changes.length);
    return shown(await store.messages());
  };
  return { history, stored };
}

describe('messages that a log has lost', () => {
  test('stay where they were seen, before what came since', async () => {
    const { history, stored } = await filled('a', 'b', 'c');
    expect(history.lose({ above: 1, at: 5 })).toBe(2);
    expect(history.add(message(2, 'new'), true)).toBe('new');
    expect(shown(history.all)).toEqual(['1 a', '(2 b)', '(3 c)', '2 new']);
    expect(await stored()).toEqual(shown(history.all));
  });

  test('are shown once when they come again, at their new place', async () => {
    const { history, stored } = await filled('a', 'b', 'c');
    history.lose({ above: 1, at: 5 });
    history.add(message(2, 'new'), true);
    expect(history.add(message(3, 'b'), true)).toMatchObject({ seq: 2, text: 'b' });
    expect(history.add(message(4, 'b'), true)).toBe('known');
    expect(shown(history.all)).toEqual(['1 a', '(3 c)', '2 new', '3 b']);
    expect(await stored()).toEqual(shown(history.all));
  });

  test('are not known by an id that only the service says, nor by that of another device', async () => {
    const { history } = await filled('a', 'b');
    history.lose({ above: 1, at: 5 });
    expect(history.add(message(2, 'b'), false)).toBe('new');
    expect(history.add({ ...message(3, 'b'), device: 'laptop' }, true)).toBe('new');
    expect(shown(history.all)).toEqual(['1 a', '(2 b)', '2 b', '3 b']);
  });

  test('are lost again by a second restart', async () => {
    const { history, stored } = await filled('a', 'b');
    history.lose({ above: 1, at: 5 });
    history.add(message(2, 'b'), true);
    expect(history.lose({ above: 1, at: 6 })).toBe(1);
    expect(await stored()).toEqual(['1 a', '(2 b)']);
  });
});
