import { expect, onTestFinished, test, vi } from 'vitest';
import { MlsDevice } from '../../../client/device/device.ts';
import { tsMls } from '../../../client/ts-mls/index.ts';
import type { MlsGroup } from '../../../client/group/group.ts';
import type { ReceivedSignal } from '../../../client/group/group-signals.ts';
import { fromBase64, toBase64 } from '../../../client/platform/bytes.ts';
import { beginsAsMlsMessage } from '../../../mls/frame.ts';
import { FakeService } from '../../harness/fake-service.ts';

interface Member {
  readonly group: MlsGroup;
  /** What the app of the device was given: `sender: text`. */
  readonly heard: string[];
  readonly signals: ReceivedSignal[];
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Devices in one group; each user has one. */
async function gather(service: FakeService, ...users: string[]): Promise<Member[]> {
  const devices = await Promise.all(
    users.map((user) => MlsDevice.open({ mls: tsMls, api: service.api(user), user, device: 'phone', keyPackages: 3 })),
  );
  const [first, ...others] = devices;
  const { id } = (await first?.createGroup()) ?? { id: '' };
  await first?.invite(id, ...users);
  for (const device of others) await device.joinGroups();
  for (const device of devices) await device.sync();
  return devices.map((device) => {
    const heard: string[] = [];
    const signals: ReceivedSignal[] = [];
    device.onSignal((_group, signal) => {
      signals.push(signal);
      heard.push(`${signal.sender}: ${new TextDecoder().decode(signal.data)}`);
    });
    return { group: device.group(id), heard, signals };
  });
}

async function trio(): Promise<{ service: FakeService; alice: Member; bob: Member; carol: Member }> {
  const service = new FakeService();
  const [alice, bob, carol] = await gather(service, 'alice', 'bob', 'carol');
  if (alice === undefined || bob === undefined || carol === undefined) throw new Error('not three');
  return { service, alice, bob, carol };
}

/** The signal that a member sends, base64. */
async function sent(service: FakeService, { group }: Member, data: string | Uint8Array): Promise<string> {
  await group.signal(typeof data === 'string' ? bytes(data) : data);
  return service.signals.at(-1) ?? '';
}

test('the other devices open a signal once; its sender, and who is not in the group, do not', async () => {
  const { service, alice, bob, carol } = await trio();
  const [mallory] = await gather(service, 'mallory');
  const signal = await sent(service, alice, 'typing');
  for (const { group } of [alice, bob, carol, ...(mallory === undefined ? [] : [mallory])]) {
    await group.processSignal(signal);
    await group.processSignal(signal);
  }
  expect([alice.heard, bob.heard, carol.heard, mallory?.heard]).toEqual([[], ['alice: typing'], ['alice: typing'], []]);
  expect(bob.signals[0]?.device).toBe(carol.signals[0]?.device);
  expect(beginsAsMlsMessage(fromBase64(signal))).toBe(false);
  expect(Buffer.from(signal, 'base64').toString('latin1')).not.toContain('typing');
});

test('short signals look alike, and the largest fits', async () => {
  const { service, alice, bob } = await trio();
  const lengths = [];
  for (const text of ['', 'x', 'typing', 'online']) lengths.push((await sent(service, alice, text)).length);
  expect(new Set(lengths).size).toBe(1);
  const largest = new Uint8Array(3840).fill(7);
  const signal = await sent(service, alice, largest);
  expect(fromBase64(signal).length).toBeLessThanOrEqual(4096);
  await bob.group.processSignal(signal);
  expect(bob.signals.at(-1)?.data).toEqual(largest);
  await expect(sent(service, alice, new Uint8Array(4000))).rejects.toThrow(RangeError);
});

test('a signal that was changed in any byte is nothing, and so is what is no signal', async () => {
  const { service, alice, bob } = await trio();
  const signal = await sent(service, alice, 'typing');
  const sealed = fromBase64(signal);
  for (let i = 0; i < sealed.length; i++) {
    const changed = Uint8Array.from(sealed);
    changed[i] = (changed[i] ?? 0) ^ 1;
    await bob.group.processSignal(toBase64(changed));
  }
  for (const length of [0, 1, 5, 9, 20, 37, sealed.length - 1]) {
    await bob.group.processSignal(toBase64(sealed.subarray(0, length)));
  }
  await bob.group.processSignal('no base64');
  expect(bob.heard).toEqual([]);
  await bob.group.processSignal(signal);
  expect(bob.heard).toEqual(['alice: typing']);
});

test('signals of the current and the previous epoch are opened, of no other', async () => {
  const { service, alice, bob, carol } = await trio();
  const old = await sent(service, alice, 'two epochs ago');
  await bob.group.update();
  await alice.group.receive();
  const previous = await sent(service, alice, 'one epoch ago');
  await bob.group.update();
  await alice.group.receive();
  const current = await sent(service, alice, 'now');
  for (const signal of [old, previous, current]) {
    await bob.group.processSignal(signal);
    // She has not heard of either commit.
    await carol.group.processSignal(signal);
  }
  expect(bob.heard).toEqual(['alice: one epoch ago', 'alice: now']);
  expect(carol.heard).toEqual(['alice: two epochs ago']);
  await carol.group.receive();
  await carol.group.processSignal(current);
  expect(carol.heard).toEqual(['alice: two epochs ago', 'alice: now']);
});

test('who was removed opens no signal of the new epoch', async () => {
  const { service, alice, bob, carol } = await trio();
  await alice.group.remove('carol');
  await bob.group.receive();
  await carol.group.receive();
  const signal = await sent(service, bob, 'she is gone');
  await alice.group.processSignal(signal);
  await carol.group.processSignal(signal);
  expect([alice.heard, carol.heard]).toEqual([['bob: she is gone'], []]);
});

test('a signal that somebody held back does not count, nor one of many that came long after the others', async () => {
  const { service, alice, bob, carol } = await trio();
  const held = await sent(service, alice, 'call');
  vi.useFakeTimers({ now: Date.now() + 6 * 60_000, toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  await bob.group.processSignal(held);
  expect(bob.heard).toEqual([]);
  const first = await sent(service, alice, 'first');
  for (let i = 0; i < 64; i++) await carol.group.processSignal(await sent(service, alice, `then ${i}`));
  await carol.group.processSignal(first);
  expect(carol.heard).toHaveLength(64);
  // In another order within these, each comes.
  const [one, two] = [await sent(service, alice, 'one'), await sent(service, alice, 'two')];
  await bob.group.processSignal(two);
  await bob.group.processSignal(one);
  expect(bob.heard).toEqual(['alice: two', 'alice: one']);
});
