import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MlsDevice } from '../../../client/device/device.ts';
import type { MlsGroup } from '../../../client/group/group.ts';
import { memoryStore } from '../../../client/storage/device-store.ts';
import { tsMls } from '../../../client/ts-mls/index.ts';
import { FakeService, problem } from '../../harness/fake-service.ts';
import { Mortal } from '../../harness/mortal-device.ts';
import { PROPERTY_TIMEOUT_MS, propertyOptions } from '../../harness/random-requests.ts';

/** `PROPERTY_RUNS=1000 npx vitest run test/integration/client/crash-safety.test.ts` runs more. */
const RUNS = 60;

/** One life after the other of alice's phone, in a group with bob, who never dies. */
class Lives {
  readonly service = new FakeService();
  id = '';
  #entries: [string, string][] = [];
  #bob: MlsDevice | undefined;

  async begin(): Promise<void> {
    const store = memoryStore();
    const alice = await MlsDevice.open({
      mls: tsMls,
      api: this.service.api('alice'),
      user: 'alice',
      device: 'phone',
      store,
    });
    this.#bob = await MlsDevice.open({
      mls: tsMls,
      api: this.service.api('bob'),
      user: 'bob',
      device: 'phone',
      keyPackages: 1,
    });
    this.id = (await alice.createGroup()).id;
    await alice.invite(this.id, 'bob');
    await this.#bob.joinGroups();
    await alice.sync();
    this.#entries = store.entries();
  }

  get bob(): MlsGroup {
    if (this.#bob === undefined) throw new Error('not begun');
    return this.#bob.group(this.id);
  }

  /** Lives until the step, or to the end. @returns number of steps */
  async live(dies: number, act: (alice: MlsGroup) => Promise<void>): Promise<number> {
    const mortal = new Mortal(dies);
    const store = mortal.store(() => this.#entries);
    try {
      const api = mortal.api(this.service.api('alice'));
      const device = await MlsDevice.open({ mls: tsMls, api, user: 'alice', device: 'phone', keyPackages: 1, store });
      await act(device.group(this.id));
    } catch (error) {
      if (!mortal.isDead) throw error;
    }
    this.#entries = store.entries();
    return mortal.steps;
  }
}

type Act = 'write' | 'update' | 'bob updates' | 'bob writes' | 'read';
const ACTS = fc.constantFrom<Act>('write', 'write', 'write', 'update', 'bob updates', 'bob writes', 'read');
/** Each life ends at a step, in the middle of what it does. */
const LIVES = fc.array(
  fc.record({ dies: fc.integer({ min: 1, max: 40 }), acts: fc.array(ACTS, { minLength: 1, maxLength: 4 }) }),
  { minLength: 1, maxLength: 4 },
);

/** Alice alone in a group, whose store can refuse writes. `posted`: whether each message was durable before it was sent. */
async function alone() {
  const service = new FakeService();
  const inner = memoryStore();
  let isFull = false;
  const write: typeof inner.write = (changes) =>
    isFull ? Promise.reject(new Error('the disk is full')) : inner.write(changes);
  const honest = service.api('alice');
  const posted: boolean[] = [];
  const api: typeof honest = {
    ...honest,
    send: (id, message) => {
      posted.push(inner.entries().some(([, value]) => value.includes(message.ciphertext)));
      return honest.send(id, message);
    },
  };
  const device = await MlsDevice.open({
    ...{ mls: tsMls, api, user: 'alice', device: 'phone', keyPackages: 1, store: { ...inner, write } },
  });
  const group = await device.createGroup();
  const isRefused = async (act: () => Promise<unknown>): Promise<void> => {
    isFull = true;
    await expect(act()).rejects.toThrow('the disk is full');
    isFull = false;
  };
  return { group, isRefused, posted, honest };
}

describe('a device whose store refuses a write', () => {
  const ids = (group: MlsGroup): string[] => group.outbox.map(({ id }) => id);

  test('has taken no message that it refused to take', async () => {
    const { group, isRefused } = await alone();
    await isRefused(() => group.enqueue({ id: 'a', text: 'a', at: 0 }));
    expect(ids(group)).toEqual([]);
    await group.enqueue({ id: 'b', text: 'b', at: 0 });
    await group.deliver();
    await group.receive();
    expect(group.history.map(({ text }) => text)).toEqual(['b']);
    await group.enqueue({ id: 'a', text: 'a', at: 0 });
    expect(ids(group)).toEqual(['a']);
  });

  test('sends nothing that is not durable', async () => {
    const { group, isRefused, posted } = await alone();
    for (const id of ['a', 'b']) await group.enqueue({ id, text: id, at: 0 });
    await isRefused(() => group.deliver());
    await isRefused(() => group.deliver());
    expect(ids(group)).toEqual(['a', 'b']);
    expect(posted).toEqual([]);
    await group.deliver();
    expect(posted).toEqual([true, true]);
    await group.receive();
    expect(group.history.map(({ text }) => text)).toEqual(['a', 'b']);
    await isRefused(() => group.update());
    expect(group.epoch).toBe(0);
  });

  test('gives up nothing whose end it could not save', async () => {
    const { group, isRefused, honest } = await alone();
    await group.enqueue({ id: 'a', text: 'a', at: 0 });
    await isRefused(() => group.cancel('a'));
    expect(ids(group)).toEqual(['a']);
    const { send } = honest;
    honest.send = () => Promise.reject(problem(413, 'too-large', {}));
    await group.deliver();
    honest.send = send;
    await isRefused(() => group.retry('a'));
    expect(group.outbox).toMatchObject([{ id: 'a', state: { kind: 'refused' } }]);
    expect(await group.retry('a')).toBe(true);
    expect(await group.cancel('a')).toBe(true);
    expect(ids(group)).toEqual([]);
  });
});

describe('a device that dies at any step', () => {
  test(
    'loses no message, sends none twice, uses no key twice, and neither loses nor repeats its commits',
    async () => {
      const property = fc.asyncProperty(LIVES, async (plan) => {
        const lives = new Lives();
        await lives.begin();
        /** Texts that the device has promised to send, and all that it was asked to. */
        const [promised, asked]: [string[], string[]] = [[], []];
        let n = 0;
        const write = async (alice: MlsGroup): Promise<void> => {
          const id = `message-${n++}`;
          asked.push(id);
          await alice.enqueue({ id, text: id, at: 0 });
          promised.push(id);
        };
        const does: Record<Act, (alice: MlsGroup) => Promise<unknown>> = {
          write,
          update: (alice) => alice.update(),
          'bob updates': () => lives.bob.update(),
          'bob writes': () => lives.bob.send(`bob-${n++}`),
          read: (alice) => alice.receive(),
        };
        for (const { dies, acts } of plan) {
          await lives.live(dies, async (alice) => {
            for (const act of acts) {
              await does[act](alice);
              await alice.deliver();
            }
          });
        }
        // The last life is a whole one.
        await lives.live(Infinity, async (alice) => {
          await alice.receive();
          await alice.deliver();
          await alice.receive();
          await lives.bob.receive();
          const read = lives.bob.history.map(({ text }) => text);
          const own = read.filter((text) => text.startsWith('message'));
          expect(own.filter((text) => promised.includes(text))).toEqual(promised);
          expect(new Set(own).size).toBe(own.length);
          expect(asked).toEqual(expect.arrayContaining(own));
          expect(alice.history.map(({ text }) => text)).toEqual(read);
          expect(alice.outbox).toEqual([]);
          // A key that was used twice opens one of the two messages.
          expect([...lives.bob.undecryptable, ...alice.undecryptable]).toEqual([]);
          expect(alice.epochAuthenticator).toBe(lives.bob.epochAuthenticator);
        });
      });
      await fc.assert(property, propertyOptions(RUNS));
    },
    PROPERTY_TIMEOUT_MS,
  );
});
