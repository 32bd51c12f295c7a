import { expect, test } from 'vitest';
import { LOAD_ENVIRONMENT } from '../../tools/load/environment.ts';
import { SHORT } from '../../tools/soak/options.ts';
import { describeSoak, drawSoak } from '../../tools/soak/report.ts';
import { recount, runSoak } from '../../tools/soak/run.ts';
import { useService } from '../harness/service.ts';

// The short form of `npm run soak`: that it samples, judges and recounts. A machine with other work is not flat.
const SEED = 1;
const service = useService({ apis: 1, workers: 1, env: { ...LOAD_ENVIRONMENT, CONVERSATION_PATH: 'workflow' } });

test('steady traffic is sampled from all sides and recounted', async () => {
  const report = await runSoak({ service: service(), size: SHORT, seed: SEED });
  expect(report.problems).toEqual([]);
  expect(report.acknowledged).toBe(SHORT.perSecond * SHORT.seconds);
  expect(report.commits).toBeGreaterThan(0);

  const seen = new Set(report.samples.flatMap(({ values }) => [...values.keys()]));
  const parts = [
    'api.rss',
    'worker.heap',
    'api.files',
    'api.loop',
    'latency.p95',
    'delivery.p95',
    'staged',
    'staged.dead',
  ];
  for (const key of [...parts, 'entry.bytes', 'history.longest', 'postgres.connections', 'sent']) {
    expect([...seen]).toContain(key);
  }
  const judged = report.verdicts.filter(({ isFlat }) => isFlat !== undefined);
  expect(judged.length).toBeGreaterThan(15);
  expect(describeSoak(report)).toContain('Recounted at the end');
  expect(drawSoak(report)).toContain('answer, ms');
});

test('a signal ends it early, with a report of what was measured', async () => {
  const early = new AbortController();
  const size = { ...SHORT, seconds: 3600, everyMs: 100 };
  let samples = 0;
  const report = await runSoak({
    service: service(),
    size,
    seed: SEED + 1,
    signal: early.signal,
    onSample: () => {
      if (++samples === 5) early.abort();
    },
  });
  expect(report.samples).toHaveLength(5);
  expect(report.acknowledged).toBeGreaterThan(0);
  expect(report.problems).toEqual([]);
});

test('the recount finds a message that the log has lost', async () => {
  const { pool } = service();
  const { rows } = await pool.query<{ conversation: string; id: string; seq: number }>(
    `select c.id as conversation, e.message_id as id, e.seq from entry e join conversation c on c.key = e.conversation
     where c.id = (select id from conversation where last_seq > 2 order by last_seq limit 1) order by e.seq`,
  );
  const [first] = rows;
  if (first === undefined) throw new Error('The runs before this one wrote entries');
  expect(await recount(service(), [first.conversation], rows)).toEqual([]);

  await pool.query(
    `delete from entry e using conversation c where c.key = e.conversation and c.id = $1 and e.seq = $2`,
    [first.conversation, first.seq],
  );
  const problems = (await recount(service(), [first.conversation], rows)).join('\n');
  expect(problems).toContain(`lost: ${first.id}`);
  expect(problems).toContain('seq-dense');
});
