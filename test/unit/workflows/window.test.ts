import { ApplicationFailure } from '@temporalio/common';
import { beforeEach, expect, test, vi } from 'vitest';
import type { FinalFailure } from '../../../activities/conversation.ts';
import { conversationStart } from '../../../workflows/conversation/start.ts';
import { showRun } from '../../../workflows/conversation/window.ts';
import { someFacts, someRun } from '../../harness/conversation-run.ts';
import { resetSurroundings, surroundings } from '../../harness/fake-workflow.ts';

vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../harness/fake-workflow.ts')).workflowModule,
}));

beforeEach(resetSurroundings);

const failure = (type: FinalFailure): ApplicationFailure => ApplicationFailure.create({ type, message: 'no answer' });

test('people see nothing before there is something to see', () => {
  const { run } = someRun();
  showRun(run);
  expect(surroundings.details).toEqual([]);
});

test('people see health, members, epoch, last seq, queue, mode and the last error', () => {
  const { run } = someRun({ mode: 'auto' });
  run.learn(someFacts());
  void run.mailbox.deliver({ operations: [{ kind: 'message', id: 'a' } as never], requests: [] });
  showRun(run);
  run.failed(failure('away'));
  showRun(run);
  const facts = 'mls · 5 members · epoch 3 · last seq 17 · as of 1970-01-01T00:16:40.000Z';
  const lines = [
    '',
    '- queue: 1 commands, 0 increments',
    '- decided by this run: 0',
    '- mode when this run began: auto',
  ];
  expect(surroundings.details).toEqual([
    [`**healthy** · ${facts}`, ...lines, '- last error of this run: none'].join('\n'),
    [
      `**degraded** · ${facts}`,
      ...lines,
      '- last error of this run: infrastructure at 1970-01-01T00:16:40.000Z: no answer',
    ].join('\n'),
  ]);
  expect(run.state().health).toBe('degraded');
});

test('a run that never decided shows its error', () => {
  const { run } = someRun();
  run.failed(failure('locked'));
  showRun(run);
  expect(surroundings.details[0]).toMatch(/^\*\*degraded\*\* · nothing decided yet\n/);
  expect(surroundings.details[0]).toContain('blocked at');
});

test('search attributes cost an event when one changes, and none for a message', () => {
  const { run } = someRun({ searchAttributes: true });
  for (const lastSeq of [1, 2, 3]) {
    run.learn(someFacts({ lastSeq }));
    showRun(run);
  }
  expect(surroundings.upserts).toEqual([{ ParleyProtocol: 'mls', ParleyState: 'active', ParleyMembers: '3-10' }]);
  run.learn(someFacts({ memberCount: 10 }));
  showRun(run);
  expect(surroundings.upserts).toHaveLength(1);
  run.learn(someFacts({ memberCount: 11 }));
  showRun(run);
  run.learn(someFacts({ memberCount: 0 }));
  showRun(run);
  run.learn(someFacts({ found: false }));
  showRun(run);
  expect(surroundings.upserts.slice(1)).toEqual([
    { ParleyMembers: '11-100' },
    { ParleyState: 'empty', ParleyMembers: '0' },
    { ParleyState: 'deleted' },
  ]);
});

test('what the start has set is not set again', () => {
  const { typedSearchAttributes = [] } = conversationStart(
    'AAAA',
    { ...someRun().run.settings, searchAttributes: true },
    'q',
    {
      facts: { protocol: 'mls', memberCount: 5 },
    },
  );
  expect(typedSearchAttributes).toHaveLength(3);
  surroundings.info.typedSearchAttributes = surroundings.info.typedSearchAttributes.updateCopy(typedSearchAttributes);
  const { run } = someRun({ searchAttributes: true });
  run.learn(someFacts());
  showRun(run);
  expect(surroundings.upserts).toEqual([]);
});

test.each([
  ['away', 'infrastructure'],
  ['locked', 'blocked'],
  ['defect', 'defect'],
] as const)('a single failure (%s) is no trouble, two in a row are, and the next success ends it', (type, trouble) => {
  const { run } = someRun({ searchAttributes: true });
  run.learn(someFacts());
  showRun(run);
  surroundings.upserts.length = 0;
  run.failed(failure(type));
  showRun(run);
  expect(surroundings.upserts).toEqual([]);
  for (let i = 0; i < 3; i++) {
    run.failed(failure(type));
    showRun(run);
  }
  expect(surroundings.upserts).toEqual([{ ParleyTrouble: trouble }]);
  run.learn(someFacts());
  showRun(run);
  expect(surroundings.upserts.slice(1)).toEqual([{ ParleyTrouble: null }]);
});

test('in a namespace without the search attributes a run sets none, and a start neither', () => {
  const { run } = someRun();
  run.learn(someFacts());
  showRun(run);
  expect(surroundings.upserts).toEqual([]);
  const facts = { protocol: 'mls', memberCount: 5 };
  expect(conversationStart('AAAA', run.settings, 'q', { facts })).not.toHaveProperty('typedSearchAttributes');
});

test('the summary of a start names the protocol if it is known', () => {
  const { settings } = someRun().run;
  const summaryOf = (facts?: { protocol: string; memberCount: number }): string =>
    conversationStart('AAAA', settings, 'q', { facts }).staticSummary;
  expect([summaryOf({ protocol: 'opaque', memberCount: 1 }), summaryOf()]).toEqual([
    'opaque conversation',
    'conversation',
  ]);
});
