import { expect, test } from 'vitest';
import { DRILLS } from '../../../tools/observe/drills/all.ts';
import { RULE_TESTS_ONLY } from '../../../tools/observe/drills/drill.ts';
import { allAlerts } from '../../../tools/observe/rules/render.ts';

const names = allAlerts().map(({ alert }) => alert);
const drilled = DRILLS.flatMap(({ alerts }) => alerts);

test('every alert is made to fire by a drill, or there is a reason why not', () => {
  expect(names.filter((name) => !drilled.includes(name) && !RULE_TESTS_ONLY.has(name))).toEqual([]);
  expect([...RULE_TESTS_ONLY.keys()].filter((name) => drilled.includes(name))).toEqual([]);
});

test('drills and reasons are about alerts that exist, and each alert has one drill', () => {
  expect([...drilled, ...RULE_TESTS_ONLY.keys()].filter((name) => !names.includes(name))).toEqual([]);
  expect(new Set(drilled).size).toBe(drilled.length);
});
