import { randomBytes, randomUUID } from 'node:crypto';
import { get } from 'node:http';
import { createParser } from 'eventsource-parser';
import { expect, test, vi } from 'vitest';
import { MlsDevice, toBase64 } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { parseMetrics } from '../../tools/load/prometheus-text.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { print } from '../harness/print.ts';
import { useService } from '../harness/service.ts';

vi.setConfig({ testTimeout: 180_000 });

const MEMBERS = 50;
const SIGNALS_PER_SECOND = 100;
const MESSAGES_PER_SECOND = 20;
const PHASE_MS = 4000;
/** Each side of the comparison, so many times, in turns: so both see the same machine. */
const TURNS = 3;

const service = useService({ apis: 2, workers: 1 });
const later = useCleanup();

interface Reader {
  readonly isOpen: () => boolean;
  /** The events, by name; entries by their seq. */
  readonly events: () => { readonly event: string; readonly seq: number }[];
}

/** A reader that only keeps what comes: parsing 5,000 events a second would take the time that is measured. */
async function openReader(url: string, token: string): Promise<Reader> {
  const chunks: Buffer[] = [];
  let isOpen = false;
  await new Promise<void>((resolve, reject) => {
    const request = get(new URL('/v1/events', url), { agent: false, headers: { authorization: `Bearer ${token}` } });
    later('reader', () => void request.destroy());
    request.on('error', reject);
    request.on('response', (response) => {
      isOpen = response.statusCode === 200;
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => undefined);
      response.on('close', () => (isOpen = false));
      resolve();
    });
  });
  const events = (): { event: string; seq: number }[] => {
    const all: { event: string; seq: number }[] = [];
    const parser = createParser({
      onEvent: ({ event = '', data }) => {
        const { entry } = JSON.parse(data) as { entry?: { seq: number } };
        all.push({ event, seq: entry?.seq ?? 0 });
      },
    });
    parser.feed(Buffer.concat(chunks).toString());
    return all;
  };
  return { isOpen: () => isOpen, events };
}

/** Calls `task` so many times in a second, without waiting for it. */
async function pace(perSecond: number, ms: number, task: (i: number) => Promise<unknown>): Promise<void> {
  const started: Promise<unknown>[] = [];
  const begin = performance.now();
  for (let i = 0; i < (perSecond * ms) / 1000; i++) {
    const due = begin + (i * 1000) / perSecond;
    await waitUntil(() => performance.now() >= due, { what: 'its time comes', everyMs: 1 });
    started.push(task(i));
  }
  await Promise.all(started);
}

/** What the API processes have measured up to now, together. */
async function measured(): Promise<{ cpuMs: number; lagMs: number; entries: number; late: number; dropped: number }> {
  const sum = { cpuMs: 0, lagMs: 0, entries: 0, late: 0, dropped: 0 };
  for (const { url } of service().apis) {
    const metrics = parseMetrics(await (await fetch(new URL('/metrics', url))).text());
    const of = (name: string): number => metrics.get(name) ?? 0;
    sum.cpuMs += of('process_cpu_seconds_total') * 1000;
    sum.lagMs += of('parley_delivery_lag_seconds_sum') * 1000;
    sum.entries += of('parley_delivery_lag_seconds_count');
    sum.late += of('parley_delivery_lag_seconds_count') - of('parley_delivery_lag_seconds_bucket{le="0.05"}');
    sum.dropped += of('parley_signals_dropped_total');
  }
  return sum;
}

test(`${MEMBERS} members, ${SIGNALS_PER_SECOND} signals a second through two processes: every message comes to all, in order`, async () => {
  const users = Array.from({ length: MEMBERS }, (_, i) => `member-${i}`);
  const id = randomBytes(18).toString('base64url');
  const clients = users.map((user, i) => service().clientOf(user, { api: i % 2 }));
  const policy = { externalJoin: 'nobody' } as const;
  await clients[0]?.createConversation({ id, protocol: 'opaque', members: users, policy });
  const readers = await Promise.all(
    users.map(async (user, i) => openReader(service().apis[i % 2]?.url ?? '', await service().token(user))),
  );
  const messages = (): Promise<void> =>
    pace(MESSAGES_PER_SECOND, PHASE_MS, async (i) =>
      clients[i % MEMBERS]?.send(id, { id: randomUUID(), ciphertext: toBase64(randomBytes(200)) }),
    );
  const signals = (): Promise<void> =>
    pace(SIGNALS_PER_SECOND, PHASE_MS, async (i) => clients[(i * 7) % MEMBERS]?.signal(id, toBase64(randomBytes(150))));
  const sides = { quiet: () => messages(), signals: () => Promise.all([messages(), signals()]) };
  const sums = {
    quiet: { cpuMs: 0, lagMs: 0, entries: 0, late: 0 },
    signals: { cpuMs: 0, lagMs: 0, entries: 0, late: 0 },
  };
  for (let turn = 0; turn < TURNS; turn++) {
    for (const side of ['quiet', 'signals'] as const) {
      const before = await measured();
      await sides[side]();
      const after = await measured();
      for (const name of ['cpuMs', 'lagMs', 'entries', 'late'] as const) sums[side][name] += after[name] - before[name];
    }
  }
  const all = Array.from({ length: (2 * TURNS * MESSAGES_PER_SECOND * PHASE_MS) / 1000 }, (_, i) => i + 1);
  const sent = (TURNS * SIGNALS_PER_SECOND * PHASE_MS) / 1000;
  const came: number[] = [];
  for (const reader of readers) {
    let seqs: number[] = [];
    await waitUntil(
      () => {
        const events = reader.events();
        seqs = events.filter(({ event }) => event === 'entry').map(({ seq }) => seq);
        came.push(events.filter(({ event }) => event === 'signal').length);
        return seqs.length >= all.length;
      },
      { what: 'all messages came', everyMs: 200 },
    );
    expect(seqs).toEqual(all);
    expect(reader.isOpen()).toBe(true);
  }
  // Each reader may lose some, and none is without.
  for (const count of came) expect(count).toBeGreaterThan(0);
  expect(Math.max(...came)).toBeLessThanOrEqual(sent);
  for (const side of ['quiet', 'signals'] as const) {
    const { cpuMs, lagMs, entries, late } = sums[side];
    const part = ((100 * late) / entries).toFixed(1);
    print(
      `${side}: from decision to write ${(lagMs / entries).toFixed(2)} ms, ${part} % above 50 ms; API ${cpuMs.toFixed(0)} ms CPU`,
    );
  }
  print(
    `of ${sent} signals a stream got ${Math.min(...came)} to ${Math.max(...came)}; dropped ${(await measured()).dropped}`,
  );
});

test('a device that missed 1,000 signals reads the next message, and hears the next signal', async () => {
  const open = async (user: string, api: number): Promise<MlsDevice> =>
    MlsDevice.open({
      mls: tsMls,
      api: service().clientOf(user, { api, device: 'phone' }),
      user,
      device: 'phone',
      keyPackages: 3,
    });
  const [alice, bob] = [await open('alice', 0), await open('bob', 1)];
  const group = await alice.createGroup();
  await alice.invite(group.id, 'bob');
  await bob.joinGroups();
  await alice.sync();
  for (let i = 0; i < 1000; i++) await group.signal(new TextEncoder().encode(`typing ${i}`));
  await group.send('hello');
  await bob.sync();
  expect(bob.group(group.id).history.map(({ text }) => text)).toEqual(['hello']);
  expect(bob.group(group.id).undecryptable).toEqual([]);

  const heard: string[] = [];
  bob.onSignal((_group, { sender, data }) => heard.push(`${sender}: ${new TextDecoder().decode(data)}`));
  const stop = new AbortController();
  later('run', () => stop.abort());
  bob.run({ signal: stop.signal }).catch(() => undefined);
  await waitUntil(
    async () => {
      await group.signal(new TextEncoder().encode('still typing'));
      return heard.includes('alice: still typing');
    },
    { what: 'bob hears a signal through the other process', everyMs: 100 },
  );
});
