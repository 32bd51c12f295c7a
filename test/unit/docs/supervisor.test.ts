import { expect, test } from 'vitest';
import { DEFAULT_POLICY, POLICY_NUMBERS } from '../../../domain/supervision/policy.ts';
import { TROUBLE_SIGNS } from '../../../domain/trouble.ts';
import { read } from '../../harness/markdown.ts';

const PAGE = 'docs/explanation/supervisor.md';

/** Rows of the tables of the page whose first cell is in backticks: name and the other cells. */
function rows(): Map<string, string[]> {
  const found = [...read(PAGE).matchAll(/^\| `([\w-]+)` +\|(.*)\|$/gm)];
  return new Map(found.map(([, name = '', rest = '']) => [name, rest.split('|').map((cell) => cell.trim())]));
}

test('the page of the supervisor has every field of the policy with its default and bounds', () => {
  expect(rows().get('strategy')?.[0]).toBe(`\`${DEFAULT_POLICY.strategy}\``);
  for (const [name, { standard, min, max, meaning }] of Object.entries(POLICY_NUMBERS)) {
    const [given, bounds, text] = rows().get(name) ?? [];
    expect([name, given, bounds, `${text ?? ''}.`]).toEqual([name, String(standard), `${min} to ${max}`, meaning]);
  }
});

test('and every sign of trouble', () => {
  for (const sign of TROUBLE_SIGNS) expect(rows().has(sign), sign).toBe(true);
});
