import { expect, test } from 'vitest';
import { TROUBLE_SIGNS } from '../../../domain/trouble.ts';
import { readRunbook } from '../../harness/docs/three-in-the-morning.ts';
import { read } from '../../harness/markdown.ts';

// The table of the runbook; test/long/three-in-the-morning.test.ts goes by it.

const { first, rows } = readRunbook();
const codes = rows.flatMap((row) => row.codes);
/** Not for somebody who was called: nothing is broken now. */
const NO_FAULT = ['auto-limited', 'conversations-in-trouble', 'standby-asynchronous'];

test('each thing that the status can say has one row in the runbook', () => {
  const source = read('api/services/status-findings.ts');
  const said = [...source.matchAll(/\b(?:problem|note)\(\s*'([\w-]+)'/g)].map(([, code = '']) => code);
  expect(said.length).toBeGreaterThan(10);
  expect([...said, ...TROUBLE_SIGNS].filter((code) => ![...codes, ...NO_FAULT].includes(code))).toEqual([]);
  expect(new Set(codes).size).toBe(codes.length);
});

test('a fault is found within three commands', () => {
  expect(first).toBe('npm run parley -- status');
  for (const { fault, commands, see } of rows) {
    expect(commands.length, fault).toBeGreaterThanOrEqual(1);
    expect(commands.length, fault).toBeLessThanOrEqual(2);
    expect(see.length, fault).toBeGreaterThanOrEqual(1);
  }
});
