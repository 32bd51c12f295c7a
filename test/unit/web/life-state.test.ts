import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LifeEvent } from '../../../web/life/life-event.ts';
import {
  emptyLife,
  type LifeState,
  MOST_ENTRIES,
  MOST_FACTS,
  MOST_OPERATIONS,
  withConnection,
  withEvent,
} from '../../../web/life/model/life-state.ts';
import { stopsOf, wayOf } from '../../../web/life/view/stops.ts';

const after = (events: readonly LifeEvent[], state = emptyLife('c')): LifeState => events.reduce(withEvent, state);
const entry = (seq: number, sha256 = 'ab'): LifeEvent => ({
  ...{ type: 'entry', at: seq, seq, kind: 'application', epoch: 1, bytes: 300, sha256, chain: 'cd' },
});
const history = (eventId: number, runId = 'run'): LifeEvent => ({
  ...{ type: 'history', at: eventId, runId, eventId, kind: 'timerFired', facts: {} },
});
const operation = (n: number): LifeEvent => ({
  ...{ type: 'operation', at: n, operation: `m${n}`, kind: 'message', path: 'direct', reason: 'wait' },
  ...{ outcome: 'accepted', seq: n, epoch: 1, ms: 5 },
});

describe('the state of a life', () => {
  test('stays small, whatever is told', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(entry, history, operation), fc.integer({ min: 1, max: 5000 })), {
          minLength: 400,
          maxLength: 600,
        }),
        (told) => {
          const { facts, entries, operations } = after(told.map(([make, n]) => make(n)));
          expect(facts.length).toBeLessThanOrEqual(MOST_FACTS);
          expect(entries.length).toBeLessThanOrEqual(MOST_ENTRIES);
          expect(operations.length).toBeLessThanOrEqual(MOST_OPERATIONS);
          expect(facts.map(({ at }) => at)).toEqual(facts.map(({ at }) => at).sort((one, other) => other - one));
          const seqs = entries.map(({ seq }) => seq);
          expect(seqs).toEqual([...new Set(seqs)].sort((one, other) => one - other));
        },
      ),
      { numRuns: 20 },
    );
  });

  test('keeps the newest', () => {
    const { facts } = after(Array.from({ length: MOST_FACTS + 5 }, (_, i) => history(i + 1)));
    expect(facts[0]?.at).toBe(MOST_FACTS + 5);
    expect(facts.at(-1)?.at).toBe(6);
  });

  test('takes what a new connection tells again once', () => {
    const told = [entry(1), entry(2), history(1), history(2), operation(3)];
    const once = after(told);
    expect(after(told, once)).toEqual(once);
    // Also an operation that is older than all facts that are kept.
    const full = after([operation(3), ...Array.from({ length: MOST_FACTS }, (_, i) => history(i + 10))]);
    expect(after([operation(3)], full)).toEqual(full);
    // The same numbers in another run are other events.
    expect(after([history(1, 'next')], once).facts).toHaveLength(6);
  });

  test('drops what a restore took from the log, and shows what comes in its place', () => {
    const restarted: LifeEvent = { type: 'log-restarted', at: 10, lastSeq: 2, oldestSeq: 1 };
    const { entries, facts } = after([entry(1), entry(2), entry(3), restarted, entry(3, 'other')]);
    expect(entries.map((one) => [one.seq, one.sha256])).toEqual([
      ...[
        [1, 'ab'],
        [2, 'ab'],
        [3, 'other'],
      ],
    ]);
    expect(facts.filter(({ text }) => text.startsWith('Number 3'))).toHaveLength(2);
  });

  test('knows which parts do not answer', () => {
    const trouble: LifeEvent = { type: 'trouble', at: 1, part: 'temporal', code: 'unavailable' };
    const away = after([trouble, { ...trouble, at: 2 }]);
    expect(away.troubles).toEqual([{ part: 'temporal', code: 'unavailable', at: 2 }]);
    expect(stopsOf({ life: away, parts: [], isCut: false }).workflow).toMatchObject({
      now: 'does not answer',
      tone: 'bad',
    });
    expect(after([{ type: 'recovered', at: 3, part: 'temporal' }], away).troubles).toEqual([]);
  });

  test('knows nothing of the parts while it hears nothing', () => {
    const trouble: LifeEvent = { type: 'trouble', at: 1, part: 'temporal', code: 'unavailable' };
    const away = withConnection(after([entry(1), trouble]), { kind: 'away', reason: 'no answer' });
    expect(away).toMatchObject({ troubles: [], entries: [{ seq: 1 }], connection: { kind: 'away' } });
    // Whoever answers then says it again.
    expect(after([trouble], away).troubles).toHaveLength(1);
  });
});

test('the picture says what the control server knows', () => {
  const parts = [
    { name: 'worker', state: 'down', since: 1, restarts: 0 },
    { name: 'temporal', state: 'paused', since: 1, restarts: 0 },
  ] as const;
  const stops = stopsOf({ life: emptyLife('c'), parts, isCut: true });
  expect(Object.values(stops).map(({ title, now }) => `${title}: ${now}`)).toEqual([
    ...['Windows: network cut', 'API: takes requests', 'Workflow: is stopped', 'Worker: is down'],
    'Postgres: decides',
  ]);
});

test('each way has its places', () => {
  expect(wayOf('direct')).toEqual(['client', 'api', 'postgres']);
  expect(wayOf('workflow')).toEqual(['client', 'api', 'workflow', 'worker', 'postgres']);
  expect(wayOf(undefined)).toEqual(['client', 'api']);
});
