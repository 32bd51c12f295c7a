import { expect, test } from 'vitest';
import { LOAD_ENVIRONMENT } from '../../tools/load/environment.ts';
import { SHORT, rehearsalOptions } from '../../tools/rehearse/options.ts';
import { describeRehearsal } from '../../tools/rehearse/report.ts';
import type { RehearsalReport } from '../../tools/rehearse/outcome.ts';
import { PHASES, rehearse } from '../../tools/rehearse/run.ts';
import { print } from '../harness/print.ts';
import { useService } from '../harness/service.ts';

// The short form of `npm run rehearse`.
const service = useService({ apis: 2, workers: 1, env: { ...LOAD_ENVIRONMENT, CONVERSATION_PATH: 'direct' } });

test('a service under load moves to workflows in phases and back, and no request fails', async () => {
  const report = await rehearse(service(), SHORT, 1);
  print(describeRehearsal(report));
  expect(report.problems).toEqual([]);
  expect(report.acknowledged).toBeGreaterThan(100);
  expect(report.commits).toBeGreaterThan(0);
  const [before, ...rest] = report.phases;
  const [after] = rest.slice(-1);
  const all = rest.at(PHASES.indexOf(100));
  // Who decides is what the operator said, so that the phases tried what they say.
  expect(before).toMatchObject({ share: 0, workflow: 0 });
  expect(all).toMatchObject({ share: 100 });
  expect(all?.workflow).toBeGreaterThan(all?.direct ?? Infinity);
  expect(after).toMatchObject({ share: 0, workflow: 0 });
  expect(after?.direct).toBeGreaterThan(0);
  // The way back makes no client send again. At 100 % a busy machine may: it has more work than time.
  expect(after?.retries).toBe(0);
  const half = rest.at(PHASES.indexOf(50));
  expect(Math.min(half?.workflow ?? 0, half?.direct ?? 0)).toBeGreaterThan(0);

  const { rows } = await service().pool.query<{ count: number }>(`select count(*) from audit where action = 'path'`);
  expect(rows).toEqual([{ count: PHASES.length + 1 }]);
});

test('a report with a problem says so', () => {
  const latency = { count: 1, mean: 1, p50: 1, p95: 1, p99: 1, max: 1 };
  const report: RehearsalReport = {
    size: SHORT,
    seed: 7,
    phases: [{ share: 10, latency, retries: 0, direct: 1, workflow: 2 }],
    rollback: { answeredMs: 1, appliedMs: 2, drainedMs: 3 },
    acknowledged: 1,
    commits: 0,
    problems: ['lost: m1'],
  };
  expect(describeRehearsal(report)).toContain('! lost: m1');
  expect(describeRehearsal({ ...report, problems: [] })).toContain('all there, once');
});

test('wrong arguments are named', () => {
  expect(rehearsalOptions(['--phase', '5'])).toMatchObject({ phaseSeconds: 5, perSecond: 100 });
  expect(() => rehearsalOptions(['--rate', '0'])).toThrow('0 is not a whole number');
});
