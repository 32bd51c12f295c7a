import { expect, test } from 'vitest';
import type { ContenderName } from '../../../../tools/bench/contender.ts';
import type { Measurement } from '../../../../tools/bench/measurement.ts';
import { renderMarkdown } from '../../../../tools/bench/markdown.ts';
import { parseBatches, workflowShare } from '../../../../tools/bench/path-share.ts';
import { renderKill, renderTable } from '../../../../tools/bench/report.ts';
import { judge } from '../../../../tools/bench/targets.ts';

function measured(load: string, contender: ContenderName, values: Readonly<Record<string, number>>): Measurement {
  return { load, contender, values: { p50: 1, p95: 2, p99: 3, max: 4, ...values }, errors: [] };
}

test('the share of the workflow is counted between two readings of the metrics', () => {
  const text = (workflow: number, direct: number): string =>
    [
      '# TYPE parley_batch_operations histogram',
      `parley_batch_operations_bucket{le="1",path="workflow"} 999`,
      `parley_batch_operations_count{path="workflow"} ${workflow}`,
      `parley_batch_operations_count{path="direct"} ${direct}`,
    ].join('\n');
  const before = parseBatches(text(100, 50));
  expect(before).toEqual({ workflow: 100, direct: 50 });
  expect(workflowShare(before, parseBatches(text(130, 60)))).toBe(75);
  expect(workflowShare(before, before)).toBeUndefined();
  expect(parseBatches('')).toEqual({ workflow: 0, direct: 0 });
});

test('the table compares with plain SQL, and has a column for each process that was measured', () => {
  const table = renderTable([
    measured('spread-64', 'plain-sql', { perSecond: 500, 'cpu.api': 1, 'cpu.total': 2 }),
    measured('spread-64', 'auto', { perSecond: 1000, share: 30, 'cpu.api': 1, 'cpu.worker': 3, 'cpu.total': 4 }),
  ]);
  const [headings = '', plain = '', auto = ''] = table.split('\n');
  expect(headings).toContain('workflow %');
  expect(headings).toContain('worker');
  expect(headings).not.toContain('restate');
  expect(plain).toContain('1.00');
  expect(auto.split(/ +/).slice(0, 4)).toEqual(['spread-64', 'auto', '1000', '2.00']);
  expect(auto.split(/ +/)).toContain('30.0');
});

test('restate gets its column', () => {
  expect(renderTable([measured('serial', 'restate', { perSecond: 1, 'cpu.restate': 5 })])).toContain('restate');
});

test('what a kill lost has a table of its own', () => {
  const values = { acknowledged: 10, repeated: 2, lost: 0, doubled: 0, gaps: 0, positionsBehind: 7, backMs: 50 };
  const table = renderKill([{ load: 'kill', contender: 'actor', values, errors: [] }]);
  expect(table).toContain('read positions behind');
  expect(table).toContain('7.00');
  expect(renderKill([])).toBe('');
});

test('auto and the cost of a message are judged', () => {
  const targets = judge([
    measured('spread-64', 'plain-sql', { perSecond: 700 }),
    measured('spread-64', 'direct', { perSecond: 1500 }),
    measured('spread-64', 'auto', { perSecond: 1000 }),
    measured('spread-64', 'workflow', { perSecond: 130, 'cpu.total': 14, 'cpu.load': 1 }),
    measured('open-1000', 'auto', { p95: 39 }),
  ]);
  const verdict = (what: string): boolean | undefined => targets.find((target) => target.what.startsWith(what))?.isMet;
  expect(verdict('spread-64: auto / direct')).toBe(false);
  expect(verdict('spread-64: auto / plain-sql')).toBe(true);
  expect(verdict('open-1000: p95 of auto')).toBe(true);
  expect(verdict('spread-64: direct / plain-sql')).toBe(true);
  expect(verdict('spread-64: direct / 684')).toBe(true);
  expect(verdict('spread-64: CPU of workflow')).toBe(false);
});

test('Markdown tables have the CPU of each process without the generator', () => {
  const values = { perSecond: 500, 'cpu.api': 1, 'cpu.postgres': 0.5, 'cpu.load': 9, 'cpu.total': 10.5 };
  expect(renderMarkdown([measured('serial', 'plain-sql', values)])).toContain(
    '| serial | plain-sql | 500 | 1.00 | 1.00 | 2.00 | 3.00 | - | 1.5 (api 1.0, postgres 0.5) |',
  );
});
