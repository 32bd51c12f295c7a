import { expect, test } from 'vitest';
import type { Curve } from '../../../tools/curves/curve.ts';
import { measureInTurns } from '../../../tools/curves/in-turns.ts';
import { curveOptions } from '../../../tools/curves/options.ts';
import { describeCurve, drawCurve, unexplained } from '../../../tools/curves/report.ts';
import { membersOf } from '../../../tools/load/seed-many.ts';
import { parseMetrics } from '../../../tools/load/prometheus-text.ts';
import { makeLedger } from '../../../tools/soak/ledger.ts';
import { soakOptions } from '../../../tools/soak/options.ts';

test('npm run curves takes names, and says which are wrong', () => {
  expect(curveOptions([]).only).toEqual(['messages', 'members', 'rows', 'active', 'streams', 'inbox', 'processes']);
  expect(curveOptions(['--shards']).only).toContain('shards');
  expect(curveOptions(['--only', 'members,messages', '--quick'])).toMatchObject({
    only: ['messages', 'members'],
    quick: true,
  });
  expect(curveOptions(['--only', 'shards']).only).toEqual(['shards']);
  expect(() => curveOptions(['--only', 'member'])).toThrow('Unknown: member. Known: messages');
  expect(() => curveOptions(['--rounds', '0'])).toThrow('0 is not a whole number above 0.');
  expect(() => curveOptions(['--quick', '--docs'])).toThrow('too rough');
});

test('npm run soak takes one duration', () => {
  expect(soakOptions([])).toMatchObject({
    seconds: 600,
    perSecond: 100,
    conversations: 1000,
    streams: 500,
    everyMs: 5000,
  });
  expect(soakOptions(['--hours', '2']).seconds).toBe(7200);
  expect(soakOptions(['--minutes', '10', '--docs'])).toMatchObject({ seconds: 600, docs: true });
  expect(() => soakOptions(['--hours', '2', '--minutes', '1'])).toThrow('Give one of');
  expect(() => soakOptions(['--hours', '24'])).toThrow('at most 23 hours');
  expect(() => soakOptions(['--minutes', '0.5'])).toThrow('0.5 is not a whole number above 0.');
});

const point = (x: number, y: number, parts = {}) => ({ x, y, parts });
const curve: Curve = {
  name: 'members',
  title: 'Members',
  xLabel: 'members',
  lines: [
    {
      name: 'send',
      measure: 'CPU ms',
      points: [point(2, 1, { api: 0.7, postgres: 0.3 }), point(1000, 1.1, { api: 1.1 })],
    },
    { name: 'leave', measure: 'CPU ms', points: [point(2, 1), point(1000, 30)] },
    { name: 'page', measure: 'KB', points: [point(2, 1), point(1000, 30)] },
  ],
  notes: ['A note.'],
  explained: new Map([['page', 'Pages grow.']]),
  errors: [],
};

test('a curve is told with its numbers, its verdicts and its reasons', () => {
  const text = describeCurve(curve);
  expect(text).toContain('| send | CPU ms | 1 | 1.1 | x 1.10 | 0.02 | flat |');
  expect(text).toContain('| send | api 0.7, postgres 0.3 | api 1.1 |');
  expect(text).toContain('| leave | CPU ms | 1 | 30 | x 30.00 | 0.55 | bends up |');
  expect(text).toContain('bends up: see below');
  expect(text).toContain('- _page_: Pages grow.');
  expect(text).toContain('A note.');
  expect(unexplained(curve).map(({ name }) => name)).toEqual(['leave']);
  expect(drawCurve(curve)).toContain('KB for each');
});

test('jobs have their turns forwards and backwards, and errors are kept', async () => {
  const turns: string[] = [];
  const job = (x: number) => ({
    line: 'job',
    x,
    pids: {},
    units: 2,
    run: () => {
      turns.push(`${x}`);
      return x === 3 ? Promise.reject(new Error('out of order')) : Promise.resolve();
    },
  });
  const { lines, errors } = await measureInTurns([job(1), job(2), job(3)], { rounds: 2, sliceMs: 0 });
  expect(turns).toEqual(['1', '2', '3', '3', '2', '1', '1', '2', '3']);
  expect(errors).toHaveLength(3);
  expect(errors[0]).toBe('job at 3: out of order');
  expect(lines.map(({ measure }) => measure)).toEqual(['CPU ms', 'latency, first = 1']);
  expect(lines[1]?.points[0]).toMatchObject({ x: 1, y: 1 });
});

test('users of a circle share its conversations', () => {
  const circles = { name: 'c', conversations: 6, each: 2, members: 3, from: 10 };
  expect([0, 1, 2, 5].map((n) => membersOf(circles, n))).toEqual([
    [10, 11, 12],
    [10, 11, 12],
    [13, 14, 15],
    [16, 17, 18],
  ]);
});

test('metrics are read with and without their labels', () => {
  const metrics = parseMetrics('# HELP a b\n# TYPE a gauge\na{x="1",y="p q"} 2\na{x="2"} 3.5\nb 1e3\nc NaN\n');
  expect([metrics.get('a'), metrics.get('a{x="1",y="p q"}'), metrics.get('b'), metrics.get('c')]).toEqual([
    5.5,
    2,
    1000,
    undefined,
  ]);
});

test('the ledger holds what was acknowledged, and nothing else', () => {
  const ledger = makeLedger('run');
  const [first, second, third] = [ledger.next(1), ledger.next(0), ledger.next(1)];
  ledger.acknowledge(third.number, 2);
  ledger.acknowledge(first.number, 1);
  expect(second.id).toBe('run-1');
  expect(ledger.count()).toBe(2);
  expect(ledger.all(['zero', 'one'])).toEqual([
    { id: 'run-0', conversation: 'one', seq: 1 },
    { id: 'run-2', conversation: 'one', seq: 2 },
  ]);
});
