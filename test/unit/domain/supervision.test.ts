import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffMs, bucketOf } from '../../../domain/supervision/backoff.ts';
import { type Outcome, strongest } from '../../../domain/supervision/look.ts';
import { plan, recall, settle } from '../../../domain/supervision/plan.ts';
import {
  DEFAULT_POLICY,
  POLICY_NUMBERS,
  type SupervisionPolicy,
  parsePolicy,
} from '../../../domain/supervision/policy.ts';
import {
  MOST_ACTIONS,
  MOST_FAILED_RUNS,
  MOST_WATCHED,
  NOTHING_SEEN,
  type Order,
  type SupervisorState,
} from '../../../domain/supervision/state.ts';
import { describeState, factsOf } from '../../../domain/supervision/summary.ts';
import { lookAt } from '../../harness/supervision.ts';

const names = (orders: readonly Order[]): (string | undefined)[] => orders.map(({ conversation }) => conversation);
const actions = (orders: readonly Order[]): string[] => orders.map(({ action }) => action);

/** Rounds in which the same conversations are in trouble, and restarts do not help. */
function rounds(
  conversations: readonly string[],
  policy: Partial<SupervisionPolicy>,
  count: number,
  stepMs: number,
): { state: SupervisorState; restarts: Order[]; others: Order[] } {
  let state: SupervisorState = NOTHING_SEEN;
  const restarts: Order[] = [];
  const others: Order[] = [];
  for (let i = 1; i <= count; i++) {
    const look = lookAt(conversations, policy);
    const planned = plan(state, look, i * stepMs);
    restarts.push(...planned.restarts);
    others.push(...planned.others);
    const outcomes = planned.restarts.map((): Outcome => 'restarted');
    state = settle(planned.state, { ...DEFAULT_POLICY, ...policy }, planned.restarts, outcomes, i * stepMs);
  }
  return { state, restarts, others };
}

test('a conversation is restarted when its sign was seen in enough rounds in a row, and not before', () => {
  const first = plan(NOTHING_SEEN, lookAt(['a'], { looks: 3 }), 1);
  const second = plan(first.state, lookAt(['a'], { looks: 3 }), 2);
  const gap = plan(second.state, lookAt([], { looks: 3 }), 3);
  expect([...first.restarts, ...second.restarts, ...gap.restarts]).toEqual([]);
  expect(gap.state.watched).toEqual([]);
  const again = plan(second.state, lookAt(['a'], { looks: 3 }), 3);
  expect(names(again.restarts)).toEqual(['a']);
});

test('what a restart cannot mend is reported once within the window, and never restarted', () => {
  const blocked = lookAt([], {}, { suspects: [{ conversation: 'a', sign: 'blocked', details: { pid: 7 } }] });
  let state = NOTHING_SEEN;
  const orders: Order[] = [];
  for (let i = 1; i <= 50; i++) {
    const planned = plan(state, blocked, i * 5000);
    expect(planned.restarts).toEqual([]);
    orders.push(...planned.others);
    ({ state } = planned);
  }
  expect(orders).toEqual([{ action: 'report', conversation: 'a', reason: 'blocked', details: { pid: 7 } }]);
});

test('a sign that comes and goes is reported once within the window', () => {
  const suspect = { conversation: 'a', sign: 'blocked', details: {} } as const;
  let state = NOTHING_SEEN;
  const reports: number[] = [];
  for (let i = 1; i <= 240; i++) {
    const isSeen = i % 4 < 2;
    const planned = plan(state, lookAt([], {}, { suspects: isSeen ? [suspect] : [] }), i * 5000);
    ({ state } = planned);
    if (planned.others.length > 0) reports.push(i);
    expect(factsOf(state, i * 5000)).toMatchObject({ inTrouble: isSeen ? 1 : 0 });
  }
  // 20 minutes: two windows.
  expect(reports).toHaveLength(2);
});

test('conversations that are quiet give way to those in trouble', () => {
  const blocked = (prefix: string): string[] => Array.from({ length: MOST_WATCHED }, (_, i) => `${prefix}${i}`);
  const look = (conversations: readonly string[]): ReturnType<typeof lookAt> =>
    lookAt(
      [],
      { looks: 1 },
      { suspects: conversations.map((one) => ({ conversation: one, sign: 'blocked', details: {} })) },
    );
  const first = plan(NOTHING_SEEN, look(blocked('a')), 1);
  const second = plan(first.state, look(blocked('b')), 2);
  expect(second.others).toHaveLength(MOST_WATCHED);
  expect(second.state.watched).toHaveLength(MOST_WATCHED);
});

test('a conversation that had its restarts is given up; buckets and then the service are stopped', () => {
  const policy = { maxRestarts: 2, buckets: 1, bucketEscalations: 2, serviceEscalations: 1, looks: 1 };
  const { state, restarts, others } = rounds(['a', 'b', 'c'], policy, 100, 5000);
  expect(names(restarts).sort()).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
  // The third one finds everything stopped already.
  expect(actions(others)).toEqual(['give-up', 'give-up', 'stop-bucket', 'degrade']);
  expect(factsOf(state, 500_000)).toMatchObject({ degraded: true, stoppedBuckets: 1 });
  expect(describeState(state, 500_000)).toContain('**degraded**');
  // A new one is not restarted any more, until the window is over or an operator sets the policy.
  const look = lookAt(['d'], policy);
  expect(plan(state, look, 501_000).restarts).toEqual([]);
  expect(names(plan(state, look, 501_000 + DEFAULT_POLICY.windowMs).restarts)).toEqual(['d']);
  expect(names(plan(state, { ...look, policyMark: 'changed' }, 501_000).restarts)).toEqual(['d']);
});

test('one bucket that is stopped leaves the others alone', () => {
  const policy = { maxRestarts: 1, buckets: 2, bucketEscalations: 1, serviceEscalations: 9, looks: 1 };
  const here = 'a';
  const there = ['b', 'c', 'd', 'e', 'f'].find((one) => bucketOf(one, 2) !== bucketOf(here, 2)) ?? '';
  const { state } = rounds([here], policy, 3, 100_000);
  const again = plan(state, lookAt([there], policy), 300_001);
  expect(names(again.restarts)).toEqual([there]);
  const sibling = ['b', 'c', 'd', 'e', 'f'].find((one) => bucketOf(one, 2) === bucketOf(here, 2)) ?? '';
  expect(plan(state, lookAt([sibling], policy), 300_001).restarts).toEqual([]);
});

test('while workers or Postgres are away nothing is restarted, and that is reported once', () => {
  const away = lookAt(['a'], { looks: 2 }, { away: 'workers' });
  const moment = plan(NOTHING_SEEN, away, 0);
  expect([moment.restarts, moment.others]).toEqual([[], []]);
  const first = plan(moment.state, away, 1);
  expect([first.restarts, first.others]).toEqual([[], [{ action: 'report', reason: 'workers', details: {} }]]);
  const second = plan(first.state, away, 2);
  expect([second.restarts, second.others]).toEqual([[], []]);
  expect(names(plan(second.state, lookAt(['a'], { looks: 1 }), 3).restarts)).toEqual(['a']);

  const { policy: _, ...blind } = lookAt([], {}, { away: 'postgres' });
  const dark = plan(second.state, blind, 10_000);
  expect([dark.restarts, dark.others]).toEqual([[], []]);
  const back = plan(plan(dark.state, blind, 20_000).state, lookAt([]), 40_000);
  expect(back.others).toEqual([{ action: 'report', reason: 'postgres', details: { seconds: 30 } }]);
});

test('a failed run is counted once', () => {
  const failed = lookAt([], {}, { failedRuns: [{ conversation: 'a', runId: 'r1' }] });
  const first = plan(NOTHING_SEEN, failed, 1);
  expect(first.others).toEqual([
    { action: 'count', conversation: 'a', reason: 'run-failed', details: { runId: 'r1' } },
  ]);
  expect(plan(first.state, failed, 2).others).toEqual([]);
});

test('with the strategy report-only nothing is restarted', () => {
  const { restarts, others } = rounds(['a'], { strategy: 'report-only' }, 10, 5000);
  expect([restarts, actions(others)]).toEqual([[], ['report']]);
});

test('a run that was left alone has not used up a restart', () => {
  const policy = { ...DEFAULT_POLICY, looks: 1 };
  const planned = plan(NOTHING_SEEN, lookAt(['a', 'b', 'c'], policy), 1000);
  expect(names(planned.restarts)).toEqual(['a', 'b', 'c']);
  const { watched } = settle(planned.state, policy, planned.restarts, ['untouched', 'restarted', 'unknown'], 1000);
  expect(watched.map(({ restarts }) => restarts.length)).toEqual([0, 1, 1]);
});

test('a supervisor without a memory knows its restarts from the audit trail', () => {
  const policy = { ...DEFAULT_POLICY, maxRestarts: 2, looks: 1 };
  const state = recall(
    [1000, 2000].map((at) => ({ conversation: 'a', at })),
    policy,
  );
  const planned = plan(state, lookAt(['a', 'b'], policy), 100_000);
  expect(names(planned.restarts)).toEqual(['b']);
  expect(actions(planned.others)).toEqual(['give-up']);
});

test('one sign explains the others', () => {
  const all = (['mailbox-full', 'blocked', 'timeouts'] as const).map((sign) => ({
    conversation: 'a',
    sign,
    details: {},
  }));
  expect(strongest(all)).toEqual([{ conversation: 'a', sign: 'blocked', details: {} }]);
});

describe('the policy', () => {
  test('has its defaults where nothing is given, and refuses what is out of bounds', () => {
    expect(parsePolicy({})).toEqual(DEFAULT_POLICY);
    expect(parsePolicy({ maxRestarts: 5 })).toEqual({ ...DEFAULT_POLICY, maxRestarts: 5 });
    for (const bad of [
      { maxRestarts: 0 },
      { maxRestarts: 1.5 },
      { strategy: 'one-for-all' },
      { windowMs: '1' },
      null,
      1,
    ]) {
      expect(parsePolicy(bad)).toBeUndefined();
    }
  });

  test('every default is within its bounds', () => {
    for (const [name, { standard, min, max }] of Object.entries(POLICY_NUMBERS)) {
      expect([name, standard >= min && standard <= max]).toEqual([name, true]);
    }
  });
});

describe('whatever happens', () => {
  const some = fc.record({
    looks: fc.integer({ min: 1, max: 3 }),
    maxRestarts: fc.integer({ min: 1, max: 4 }),
    maxPerRound: fc.integer({ min: 1, max: 5 }),
    windowMs: fc.integer({ min: 1000, max: 60_000 }),
    backoffInitialMs: fc.integer({ min: 100, max: 5000 }),
    backoffMaxMs: fc.integer({ min: 100, max: 20_000 }),
    backoffFactor: fc.double({ min: 1, max: 10, noNaN: true }),
    backoffJitter: fc.double({ min: 0, max: 1, noNaN: true }),
    buckets: fc.integer({ min: 1, max: 3 }),
    bucketEscalations: fc.integer({ min: 1, max: 3 }),
    serviceEscalations: fc.integer({ min: 1, max: 3 }),
  });
  const conversation = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
  const outcome = fc.constantFrom<Outcome>('restarted', 'untouched', 'reported', 'unknown');
  const step = fc.record({
    afterMs: fc.integer({ min: 1, max: 20_000 }),
    inTrouble: fc.uniqueArray(conversation, { maxLength: 6 }),
    blocked: fc.uniqueArray(conversation, { maxLength: 2 }),
    outcomes: fc.array(outcome, { minLength: 6, maxLength: 6 }),
    isAway: fc.boolean(),
  });

  test('no conversation is restarted healthy, blocked, too early or too often, and the service not while it is stopped', () => {
    fc.assert(
      fc.property(some, fc.array(step, { maxLength: 60 }), (change, steps) => {
        const policy = { ...DEFAULT_POLICY, ...change };
        let state: SupervisorState = NOTHING_SEEN;
        let now = 1_000_000;
        const restarted = new Map<string, number[]>();
        const inARow = new Map<string, number>();
        for (const { afterMs, inTrouble, blocked, outcomes, isAway } of steps) {
          now += afterMs;
          const suspects = [
            ...inTrouble.filter((one) => !blocked.includes(one)).map((one) => ({ one, sign: 'timeouts' as const })),
            ...blocked.map((one) => ({ one, sign: 'blocked' as const })),
          ].map(({ one, sign }) => ({ conversation: one, sign, details: {} }));
          for (const one of ['a', 'b', 'c', 'd', 'e', 'f']) {
            const isSeen = suspects.some((suspect) => suspect.conversation === one);
            inARow.set(one, isSeen ? (inARow.get(one) ?? 0) + 1 : 0);
          }
          const wasDegraded = state.degradedUntil > now;
          const look = lookAt([], policy, { suspects, ...(isAway ? { away: 'workers' } : {}) });
          const planned = plan(state, look, now);
          expect(planned).toEqual(plan(state, look, now));
          if (isAway || wasDegraded) expect(planned.restarts).toEqual([]);
          expect(planned.restarts.length).toBeLessThanOrEqual(policy.maxPerRound);
          planned.restarts.forEach((order, i) => {
            const name = order.conversation ?? '';
            expect(inTrouble).toContain(name);
            expect(blocked).not.toContain(name);
            expect(inARow.get(name)).toBeGreaterThanOrEqual(policy.looks);
            const times = restarted.get(name) ?? [];
            const recent = times.filter((at) => at > now - policy.windowMs);
            expect(recent.length).toBeLessThan(policy.maxRestarts);
            const last = recent.at(-1);
            // The shortest pause that its number of restarts allows.
            const grown = policy.backoffInitialMs * policy.backoffFactor ** (recent.length - 1);
            const pause = Math.min(grown, Math.max(policy.backoffMaxMs, policy.backoffInitialMs));
            if (last !== undefined && recent.length === times.length) {
              expect(now - last).toBeGreaterThanOrEqual(Math.floor(pause * (1 - policy.backoffJitter)));
            }
            const wasLeft = outcomes[i] === 'untouched' || outcomes[i] === 'reported';
            if (!wasLeft) restarted.set(name, [...times, now]);
            else inARow.set(name, 0);
            // Looks begin anew after each try.
            inARow.set(name, 0);
          });
          state = settle(planned.state, policy, planned.restarts, outcomes, now);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('pauses grow up to the longest one, and the chance takes no more than its share', () => {
    fc.assert(
      fc.property(some, fc.string(), fc.integer({ min: 1, max: 50 }), (change, name, restart) => {
        const policy = { ...DEFAULT_POLICY, ...change };
        const longest = Math.max(policy.backoffMaxMs, policy.backoffInitialMs);
        const pause = backoffMs(policy, name, restart);
        const full = Math.min(policy.backoffInitialMs * policy.backoffFactor ** (restart - 1), longest);
        expect(pause).toBeLessThanOrEqual(Math.ceil(full));
        expect(pause).toBeGreaterThanOrEqual(Math.floor(full * (1 - policy.backoffJitter)));
        expect(backoffMs(policy, name, restart)).toBe(pause);
      }),
    );
  });

  test('the memory has an end', () => {
    const many = Array.from({ length: 3000 }, (_, i) => `c${i}`);
    const runs = many.map((conversation) => ({ conversation, runId: conversation }));
    let state: SupervisorState = NOTHING_SEEN;
    for (let i = 1; i < 10; i++) {
      const look = lookAt(many, { looks: 1, maxPerRound: 200 }, { failedRuns: runs.slice(i * 100, i * 100 + 100) });
      const planned = plan(state, look, i * 5000);
      state = settle(
        planned.state,
        DEFAULT_POLICY,
        planned.restarts,
        planned.restarts.map((): Outcome => 'restarted'),
        i,
      );
    }
    expect(state.watched.length).toBe(MOST_WATCHED);
    expect(state.actions.length).toBe(MOST_ACTIONS);
    expect(state.failedRuns.length).toBe(MOST_FAILED_RUNS);
    // Travels from run to run; the server's limit is 2 MB.
    expect(JSON.stringify(state).length).toBeLessThan(300_000);
  });

  test('buckets are filled evenly', () => {
    const sizes = new Map<number, number>();
    for (let i = 0; i < 16_000; i++) {
      const bucket = bucketOf(`conversation-${i}`, 16);
      sizes.set(bucket, (sizes.get(bucket) ?? 0) + 1);
    }
    expect(sizes.size).toBe(16);
    for (const size of sizes.values()) expect(size).toBeGreaterThan(800);
  });
});
