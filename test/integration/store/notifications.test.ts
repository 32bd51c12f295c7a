import { expect, onTestFinished, test } from 'vitest';
import { type Listener, listen, makeNotifier } from '../../../store/log/notifications.ts';
import { useDatabase } from '../../harness/database.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

const database = useDatabase();

interface Heard {
  readonly listener: Listener;
  readonly entries: [string, number][];
  /** Entries with which more changed. */
  readonly changed: string[];
  readonly devices: unknown[][];
  readonly settings: string[];
  connects: number;
  errors: number;
}

function startListening(url = database().url): Heard {
  const heard = { entries: [], changed: [], devices: [], settings: [], connects: 0, errors: 0 } as unknown as Heard;
  const listener = listen(
    { url },
    {
      onEntry: (conversation, seq, changed) => {
        heard.entries.push([conversation, seq]);
        if (changed) heard.changed.push(conversation);
      },
      onDevice: (device, stream) => heard.devices.push(stream === undefined ? [device] : [device, stream]),
      onSetting: (name) => heard.settings.push(name),
      onConnect: () => heard.connects++,
      onError: () => heard.errors++,
    },
  );
  onTestFinished(() => listener.close());
  Object.assign(heard, { listener });
  return heard;
}

const connected = (heard: Heard, times = 1): Promise<void> =>
  waitUntil(() => heard.connects === times && heard.listener.connected(), {
    what: 'the listener is connected',
    everyMs: 5,
  });

test('a wake-up of an entry or a setting reaches every listener', async () => {
  const { pool } = database();
  const [one, two] = [startListening(), startListening()];
  await Promise.all([connected(one), connected(two)]);
  const notifier = makeNotifier(pool, (error) => expect.unreachable(String(error)));
  notifier.entry('AAAA', 7);
  await notifier.setting('path');
  await waitUntil(() => [one, two].every((each) => each.entries.length === 1 && each.settings.length === 1), {
    what: 'both have heard',
  });
  expect(one.entries).toEqual([['AAAA', 7]]);
  expect(two.settings).toEqual(['path']);
});

test('a wake-up says whether more than entries changed, also when it was gathered with others', async () => {
  const { pool } = database();
  const heard = startListening();
  await connected(heard);
  const notifier = makeNotifier(pool, (error) => expect.unreachable(String(error)));
  notifier.entry('plain', 1);
  notifier.entry('both', 5, true);
  notifier.entry('both', 7);
  notifier.entry('changed', 0, true);
  await waitUntil(() => heard.entries.length === 3, { what: 'all are heard' });
  expect(heard.entries).toContainEqual(['both', 7]);
  expect(heard.changed.sort()).toEqual(['both', 'changed']);
});

test('a wake-up of a device names it, and the stream that was opened, whatever the ids look like', async () => {
  const { pool } = database();
  const heard = startListening();
  await connected(heard);
  const notifier = makeNotifier(pool, (error) => expect.unreachable(String(error)));
  const device = { user: 'did:x "a" b, c', device: 'ph one\\' };
  notifier.device(device.user, device.device);
  notifier.device(device.user, device.device);
  const stream = { openedAt: 1_800_000_000_000_001, id: 'one' };
  notifier.stream(device, stream);
  await waitUntil(() => heard.devices.some((one) => one.length === 2), { what: 'both are heard' });
  expect(heard.devices).toContainEqual([device]);
  expect(heard.devices).toContainEqual([device, stream]);
});

test('many wake-ups of one conversation become few, and the last seq is always sent', async () => {
  const { pool } = database();
  const heard = startListening();
  await connected(heard);
  const notifier = makeNotifier(pool, (error) => expect.unreachable(String(error)));
  for (let seq = 1; seq <= 500; seq++) notifier.entry('BBBB', seq);
  notifier.entry('BBBB', 3);
  for (let i = 0; i < 300; i++) notifier.entry(`many-${i}`, 1);
  await waitUntil(() => heard.entries.some(([conversation, seq]) => conversation === 'BBBB' && seq === 500), {
    what: 'the last seq is heard',
  });
  await waitUntil(() => new Set(heard.entries.map(([conversation]) => conversation)).size === 301, {
    what: 'every conversation is heard of',
  });
  expect(heard.entries.length).toBeLessThan(310);
});

test('a listener whose session was terminated connects again, tells so, and hears again', async () => {
  const { pool } = database();
  const heard = startListening();
  await connected(heard);
  await pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where application_name = 'parley-listen' and datname = current_database()`,
  );
  await waitUntil(() => !heard.listener.connected(), { what: 'the loss is noticed', everyMs: 5 });
  await connected(heard, 2);
  makeNotifier(pool, (error) => expect.unreachable(String(error))).entry('CCCC', 1);
  await waitUntil(() => heard.entries.length === 1, { what: 'it hears again' });
  expect(heard.errors).toBeGreaterThan(0);
});

test('a listener that finds no server keeps trying and says why, until it is closed', async () => {
  const heard = startListening('postgres://127.0.0.1:1/none');
  await waitUntil(() => heard.errors >= 2, { what: 'it has tried twice' });
  expect(heard.listener.connected()).toBe(false);
  await heard.listener.close();
});

test('a statement that fails is made again, together with what came after it', async () => {
  const { pool } = database();
  const heard = startListening();
  await connected(heard);
  let fail = true;
  const errors: unknown[] = [];
  const flaky = new Proxy(pool, {
    get: (target, name, receiver) =>
      name === 'query' && fail
        ? () => Promise.reject(new Error('away'))
        : (Reflect.get(target, name, receiver) as unknown),
  });
  const notifier = makeNotifier(flaky, (error) => errors.push(error));
  notifier.entry('EEEE', 1, true);
  notifier.entry('DDDD', 1);
  await waitUntil(() => errors.length === 1, { what: 'the failure is reported', everyMs: 2 });
  notifier.entry('DDDD', 2);
  notifier.device('dan', 'phone');
  fail = false;
  await waitUntil(() => heard.entries.length + heard.devices.length === 3, { what: 'all arrive' });
  expect(new Map(heard.entries)).toEqual(new Map(Object.entries({ EEEE: 1, DDDD: 2 })));
  expect(heard.changed).toEqual(['EEEE']);
});
