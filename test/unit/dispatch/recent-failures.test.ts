import { expect, test } from 'vitest';
import { RecentFailures } from '../../../dispatch/recent-failures.ts';

test('the newest failures of a conversation are kept, and those of others are not among them', () => {
  const failures = new RecentFailures();
  for (let i = 0; i < 7; i++) failures.note('a', { kind: 'message', code: 'deadline', waitedMs: i });
  failures.note('b', { kind: 'commit', code: 'unavailable', waitedMs: 0 });
  expect(failures.of('a').map(({ waitedMs }) => waitedMs)).toEqual([6, 5, 4, 3, 2]);
  expect(failures.of('b')).toMatchObject([{ kind: 'commit', code: 'unavailable' }]);
  expect(failures.of('c')).toEqual([]);
});
