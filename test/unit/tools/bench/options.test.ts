import { expect, test } from 'vitest';
import { benchOptions } from '../../../../tools/bench/options.ts';

test('without arguments neither peers nor their cases run', () => {
  const { cases, contenders } = benchOptions([]);
  expect(contenders).toEqual(['workflow', 'direct', 'auto', 'naive', 'plain-sql']);
  expect(cases).toContain('open-1000');
  expect(cases).not.toContain('raced-commits');
  expect(cases).not.toContain('kill');
});

test('--peers runs every contender in the cases that all of them can do', () => {
  const { cases, contenders } = benchOptions(['--peers']);
  expect(contenders).toHaveLength(8);
  expect(cases).toEqual(['serial', 'spread-64', 'hot-256', 'open-1000', 'raced-commits', 'kill']);
});

test('cases, contenders, repeats and seconds can be chosen', () => {
  const options = benchOptions([
    '--peers',
    '--cases',
    'kill,serial',
    '--contenders',
    'actor',
    '--repeats',
    '2',
    '--seconds',
    '4',
  ]);
  expect(options).toMatchObject({ cases: ['serial', 'kill'], contenders: ['actor'], repeats: 2, measureMs: 4000 });
});

test('a quick run leaves the slow cases out, unless --peers needs them', () => {
  expect(benchOptions(['--quick']).cases).not.toContain('open-1000');
  expect(benchOptions(['--quick', '--peers']).cases).toContain('open-1000');
});

test('an unknown contender is named', () => {
  expect(() => benchOptions(['--contenders', 'akka'])).toThrow('Unknown: akka');
});
