import { pino } from 'pino';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { type StreamHub, makeStreamHub } from '../../../streams/hub.ts';
import { makeMetrics } from '../../../process/metrics.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { openAccountStream } from '../../../tools/harness/event-stream.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { makeTalk } from '../../harness/streams/talk.ts';
import { delivered, untilDelivered, wordsOf } from '../../harness/streams/delivered.ts';

/** Much longer than an addition may become visible after its time. */
const OUTAGE_MS = 600_000;

/** A process that hears no notifications, and whose database may be away. */
let hub: StreamHub;
let isAway = false;
let failures = 0;
const { database, service } = useApi(({ pool }) => {
  const flaky = new Proxy(pool, {
    get: (target, name) => {
      const value = Reflect.get(target, name, target) as unknown;
      if (name !== 'query' || !isAway) return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      failures++;
      return () => Promise.reject(new Error('Connection terminated'));
    },
  });
  hub = makeStreamHub({
    pool: flaky,
    metrics: makeMetrics({ collectDefaults: false }),
    log: pino({ level: 'silent' }),
    notifier: { stream: () => undefined },
    slowMs: 5000,
    perUser: 0,
  });
  return { streams: hub };
});
const talk = makeTalk(service);
// Runs before the API is closed, which waits for its streams.
afterAll(() => hub.close());
afterEach(() => vi.restoreAllMocks());

/** Has the streams of this process see nothing of what happens, for longer than they look back otherwise. */
async function duringOutage(happens: () => Promise<void>): Promise<void> {
  isAway = true;
  await happens();
  const before = failures;
  await waitUntil(() => failures > before, { what: 'the poll fails' });
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => now() + OUTAGE_MS);
  isAway = false;
}

test('what happened during a long outage is told after it: conversations joined, and a low stock', async () => {
  const stream = await openAccountStream(service.url, await tokenOf('ben'));
  const before = await talk.create('ann', 'ben');
  await untilDelivered(stream, before, ['new', '+ann', '+ben']);
  let during = '';
  await duringOutage(async () => {
    during = await talk.create('ann', 'ben');
    const old = `clock_timestamp() - interval '${OUTAGE_MS / 2} milliseconds'`;
    await database().pool.query(
      `update change set at = ${old} where conversation = (select key from conversation where id = $1)`,
      [during],
    );
    await database().pool.query(`update device set low_stock_at = ${old} where user_id = 'ben'`);
  });
  await untilDelivered(stream, during, ['new', '+ann', '+ben']);
  await waitUntil(() => delivered(stream).some(({ event }) => event === 'low-stock'), {
    what: 'the low stock is told',
  });
  await talk.say(during, 'ann');
  await waitUntil(() => wordsOf(stream, during).includes('1'), { what: 'it follows' });
  expect(stream.endedAt()).toBeUndefined();
  stream.close();
});
