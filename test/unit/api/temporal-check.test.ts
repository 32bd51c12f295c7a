import { expect, test } from 'vitest';
import { needsTemporal } from '../../../api/services/temporal-check.ts';

test.each([
  ['auto', 100, false],
  ['direct', 100, false],
  ['workflow', 0, false],
  ['workflow', 100, true],
  ['workflow', 50, true],
  // The rest is on `workflow`.
  ['auto', 99, true],
  ['direct', 99, true],
] as const)('with %s at %i %%, some conversations need Temporal: %s', (path, rollout, needed) => {
  expect(needsTemporal({ path, rollout })).toBe(needed);
});
