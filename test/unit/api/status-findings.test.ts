import { expect, test } from 'vitest';
import { type FindingInput, findingsOf } from '../../../api/services/status-findings.ts';
import { makeAutoReport } from '../../../dispatch/auto/auto-report.ts';
import { AutoPath } from '../../../dispatch/auto/auto-path.ts';
import type { KnownProcess, ServiceFacts } from '../../../api/services/service-status.ts';

const worker: KnownProcess = {
  id: 'worker-1',
  kind: 'worker',
  version: '1.0.0',
  build: 'a',
  taskQueue: 'q',
  facts: {},
  startedAt: new Date(),
  silentMs: 500,
  state: 'live',
};
/** It runs for longer than the supervisor needs to come. */
const old: KnownProcess = { ...worker, startedAt: new Date(0) };
const wellDatabase: NonNullable<ServiceFacts['database']> = {
  version: '18.0',
  connections: 10,
  maxConnections: 100,
  standbys: 0,
  waitsForStandby: false,
  waitingForLocks: 0,
  oldestTransaction: null,
  overdue: 0,
};
const well: ServiceFacts = {
  processes: [worker],
  database: wellDatabase,
  temporal: { pollers: [{ identity: 'w', silentMs: 1000 }], running: 3, failed: 0 },
  drain: undefined,
  troubles: [],
  moreTroubles: false,
  queue: { depth: 0, oldestWaitMs: 0, activeConversations: 0, openStreams: 0, diversions: {} },
};
const healthy = { status: 'healthy' } as const;

/** Codes of what is found when the facts differ from a healthy service in this. */
function found(facts: Partial<ServiceFacts>, more: Partial<FindingInput> = {}): string[] {
  return findingsOf({
    facts: { ...well, ...facts },
    health: { database: healthy, temporal: healthy, memory: healthy, tokens: healthy, actors: healthy },
    path: { path: 'auto', rollout: 100 },
    controller: makeAutoReport(new AutoPath())(),
    ...more,
  }).map(({ severity, code }) => `${severity} ${code}`);
}

const trouble = {
  conversation: 'AAAA',
  sign: 'blocked',
  firstAt: new Date(0),
  lastAt: new Date(0),
  seen: 1,
  details: {},
} as const;
const database = (change: Partial<typeof wellDatabase>): Partial<ServiceFacts> => ({
  database: { ...wellDatabase, ...change },
});

test.each<[string, Partial<ServiceFacts>, string[]]>([
  ['nothing', {}, []],
  ['PostgreSQL is away', { database: undefined }, ['problem database-away']],
  ['Temporal is away', { temporal: undefined }, ['problem temporal-away']],
  ['nobody polls', { temporal: { pollers: [], running: 0, failed: 0 } }, ['problem no-worker']],
  [
    'the last poll is long ago',
    { temporal: { pollers: [{ identity: 'w', silentMs: 80_000 }], running: 0, failed: 0 } },
    ['problem no-worker'],
  ],
  ['the worker fell silent', { processes: [{ ...worker, state: 'silent' }] }, ['problem process-silent']],
  [
    'the supervisor fell silent',
    { processes: [worker, { ...worker, id: 'supervisor/q', kind: 'supervisor', state: 'silent' }] },
    ['problem supervisor-silent'],
  ],
  [
    'the supervisor is gone for minutes',
    { processes: [old, { ...worker, id: 'supervisor/q', kind: 'supervisor', state: 'gone' }] },
    ['problem supervisor-silent'],
  ],
  ['the row of the supervisor was deleted', { processes: [old] }, ['problem supervisor-silent']],
  ['the supervisor works', { processes: [old, { ...worker, id: 'supervisor/q', kind: 'supervisor' }] }, []],
  [
    'the supervisor gave up',
    { processes: [worker, { ...worker, id: 'supervisor/q', kind: 'supervisor', facts: { degraded: true } }] },
    ['problem supervisor-degraded'],
  ],
  ['the audit found something', { inconsistencies: 2 }, ['problem inconsistent']],
  ['the audit found nothing', { inconsistencies: 0 }, []],
  ['a worker was replaced', { processes: [{ ...worker, state: 'gone' }, worker] }, []],
  ['a clock is wrong', { processes: [{ ...worker, facts: { clockSkewMs: -9000 } }] }, ['problem clock-skew']],
  ['two versions run', { processes: [worker, { ...worker, version: '2.0.0' }] }, ['note versions-differ']],
  ['a conversation is in trouble', { troubles: [trouble] }, ['problem conversations-in-trouble']],
  ['operations wait for long', { queue: { ...well.queue, oldestWaitMs: 5000 } }, ['problem long-wait']],
  [
    'runs failed',
    { temporal: { pollers: [{ identity: 'w', silentMs: 0 }], running: 1, failed: 2 } },
    ['problem runs-failed'],
  ],
  ['timers are late', database({ overdue: 4 }), ['problem overdue']],
  ['connections run out', database({ connections: 90 }), ['problem connections']],
  ['a standby may lack what was acknowledged', database({ standbys: 1 }), ['note standby-asynchronous']],
  ['a standby has what was acknowledged', database({ standbys: 1, waitsForStandby: true }), []],
  ['sessions wait for locks', database({ waitingForLocks: 2 }), ['note lock-waits']],
  [
    'a transaction stays open',
    database({ oldestTransaction: { ms: 60_000, pid: 7, application: 'psql', state: 'idle in transaction' } }),
    ['problem long-transaction'],
  ],
  [
    'a drain keeps timers, which is no problem',
    {
      ...database({ overdue: 4 }),
      drain: { since: '2026-01-01T00:00:00Z', by: 'op', before: { path: 'auto', rollout: 100 } },
    },
    ['note drained'],
  ],
])('when %s, it is said', (_, facts, codes) => {
  expect(found(facts)).toEqual(codes);
});

test('health, settings and the controller are told too, problems first', () => {
  const health = {
    database: healthy,
    temporal: healthy,
    memory: { status: 'degraded' },
    tokens: healthy,
    actors: healthy,
  } as const;
  expect(found({}, { health, path: { path: 'direct', rollout: 100 } })).toEqual([
    'problem memory-degraded',
    'note path',
  ]);
  const controller = { ...makeAutoReport(new AutoPath())(), state: 'away' } as const;
  expect(found({}, { controller })).toEqual(['problem auto-away']);
  expect(found({}, { controller: { ...controller, state: 'limited' } })).toEqual(['note auto-limited']);
});

test('that no worker works is known by their signs, before the server forgets their polls', () => {
  const reason = 'no worker works on the task queue q: 1 silent';
  const health = {
    database: healthy,
    temporal: { status: 'degraded', reason },
    memory: healthy,
    tokens: healthy,
    actors: healthy,
  } as const;
  expect(found({}, { health })).toEqual(['problem no-worker']);
});
