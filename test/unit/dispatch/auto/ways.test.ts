import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { ConversationPath } from '../../../../dispatch/executor.ts';
import type { Submission } from '../../../../dispatch/submission.ts';
import { AppError } from '../../../../domain/errors.ts';
import type { Outcome } from '../../../../domain/outcome.ts';
import { commitSubmission, messageSubmission, readSubmission } from '../../../../tools/harness/submissions.ts';
import { type FakeService, pass, startFakeService } from './fake-ways.ts';

// The path `auto` with real queues, controller, breaker and watch, over fake executors.
let service: FakeService;

beforeEach(() => {
  vi.useFakeTimers();
  service = startFakeService();
});
afterEach(() => {
  service.close();
  vi.useRealTimers();
});

function message(user: string, conversation = 'c'): Submission {
  return messageSubmission(conversation, user);
}

function submit(...submissions: Submission[]): Promise<Outcome | Error>[] {
  return submissions.map((one) => service.dispatcher.submit(one).catch((error: unknown) => error as Error));
}

const idOf = ({ command }: Submission): string => command.id;
const SILENT = Infinity;

test('without load messages, read marks and commits take the workflow, by their staged rows', async () => {
  const sent = [message('alice'), readSubmission('d', 'bob'), commitSubmission('e', 'carol', 0)];
  const outcomes = submit(...sent);
  await pass(20);
  for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ status: 'accepted' });
  expect(service.idsBy('workflow')).toEqual(sent.map(idOf));
  expect(service.rows.size).toBe(0);
  expect(await service.diversions()).toEqual({});
});

test('beyond the budget messages go direct at once, without a staged row; commits do not', async () => {
  service.ways.updateMs = 500;
  const many = Array.from({ length: 30 }, (_, i) => message('alice', `c${i}`));
  const commits = Array.from({ length: 5 }, (_, i) => commitSubmission(`d${i}`, 'alice', 0));
  void submit(...many, ...commits);
  await pass(5);
  const direct = service.handed.filter(({ path }) => path === 'direct');
  expect(direct.length).toBeGreaterThan(15);
  expect(direct.flatMap(({ staged }) => staged)).not.toContain(true);
  expect(service.idsBy('workflow')).toEqual(expect.arrayContaining(commits.map(idOf)));
  expect(await service.diversions()).toEqual({ budget: direct.length });
});

test('who waits 25 ms behind an update passes it directly; its senders and commits do not', async () => {
  service.ways.updateMs = 200;
  const first = message('alice');
  void submit(first);
  await pass(1);
  const behind = {
    same: message('alice'),
    commit: commitSubmission('c', 'carol', 0),
    after: message('carol'),
    other: message('bob'),
  };
  void submit(...Object.values(behind));
  await pass(20);
  expect(service.idsBy('direct')).toEqual([]);
  await pass(15);
  expect(service.idsBy('direct')).toEqual([idOf(behind.other)]);
  await pass(400);
  // All the rest came after the update, in each sender's order.
  expect(service.idsBy('workflow')).toEqual([idOf(first), idOf(behind.commit)]);
  const rest = service.handed.flatMap(({ ids }) => ids);
  expect(rest.indexOf(idOf(behind.after))).toBeGreaterThan(rest.indexOf(idOf(behind.commit)));
  expect(rest.indexOf(idOf(behind.same))).toBeGreaterThan(0);
  expect(await service.diversions()).toEqual({ wait: 3 });
});

test('a batch of 16 keeps the workflow while its update answers within 250 ms, and is staged early', async () => {
  service.ways.updateMs = 200;
  void submit(message('alice'));
  await pass(1);
  const crowd = Array.from({ length: 16 }, (_, i) => message(`user-${i}`));
  void submit(...crowd);
  await pass(1);
  expect(service.rows.size).toBe(17);
  await pass(250);
  expect(service.idsBy('workflow').slice(1)).toEqual(crowd.map(idOf));
  expect(service.idsBy('direct')).toEqual([]);
});

test('a batch of 16 behind an update that takes longer goes direct, by the rows that it has', async () => {
  service.ways.updateMs = 600;
  void submit(message('alice'));
  await pass(1);
  const crowd = Array.from({ length: 16 }, (_, i) => message(`user-${i}`));
  const outcomes = submit(...crowd);
  await pass(310);
  expect(service.idsBy('direct')).toEqual(crowd.map(idOf));
  expect(service.handed.at(-1)?.staged).not.toContain(false);
  for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ status: 'accepted' });
  await pass(600);
  expect(service.rows.size).toBe(0);
});

test('an update without an answer is decided first, by the same rows and ids, when its sender waits; then what waited', async () => {
  service.ways.updateMs = (conversation) => (conversation === 'c' ? SILENT : 10);
  const [first, second] = [message('alice'), message('alice')];
  const outcomes = submit(first, second);
  await pass(500);
  void submit(message('bob', 'well'));
  await pass(800);
  expect(await Promise.all(outcomes)).toMatchObject([{ status: 'accepted' }, { status: 'accepted' }]);
  const of = service.handed.filter(({ conversation }) => conversation === 'c');
  expect(of.map(({ path, ids }) => [path, ...ids])).toEqual([
    ['workflow', idOf(first)],
    ['direct', idOf(first)],
    ['direct', idOf(second)],
  ]);
  expect(of[1]?.staged).toEqual([true]);
  expect(of[1]?.at).toBeLessThanOrEqual((of[0]?.at ?? 0) + 1200);
  expect(service.rows.size).toBe(0);
});

test('what the rescue refused stays refused: the late update finds no row', async () => {
  service.ways.updateMs = 5000;
  service.ways.ofStaged = () => ({ status: 'refused', code: 'epoch-ahead' });
  const outcomes = submit(message('alice'));
  await pass(2000);
  expect(await Promise.all(outcomes)).toMatchObject([{ status: 'refused', code: 'epoch-ahead' }]);
  expect(service.rows.size).toBe(0);
});

test('a rescue that finds it decided reports the first success', async () => {
  service.ways.updateMs = 5000;
  service.ways.ofStaged = () => ({ status: 'duplicate', seq: 7, epoch: 0 });
  const outcomes = submit(message('alice'));
  await pass(2000);
  expect(await Promise.all(outcomes)).toEqual([{ status: 'accepted', seq: 7, epoch: 0 }]);
});

test('the breaker opens at once when Temporal refuses connections: commits go direct too, and nothing is left staged', async () => {
  service.ways.updateMs = SILENT;
  service.ways.temporalIsUp = false;
  const before = [message('alice'), commitSubmission('d', 'bob', 0)];
  const outcomes = submit(...before);
  await pass(200);
  service.watch.unavailable();
  await pass(10);
  for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ status: 'accepted' });
  const commit = commitSubmission('e', 'carol', 0);
  void submit(commit);
  await pass(10);
  expect(service.handed.at(-1)).toMatchObject({ path: 'direct', ids: [idOf(commit)], staged: [false] });
  expect(service.rows.size).toBe(0);
  expect(await service.diversions()).toEqual({ breaker: 3 });
});

test('the breaker opens within a second when three conversations are silent and nobody is answered', async () => {
  service.ways.updateMs = SILENT;
  service.ways.temporalIsUp = false;
  const outcomes = submit(message('alice', 'a'), message('alice', 'b'), commitSubmission('d', 'bob', 0));
  await pass(1000);
  expect(service.auto.breaker.isOpen).toBe(true);
  for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ status: 'accepted' });
});

test.each([
  ['rows are locked', { locked: new Set(['a', 'b', 'd']) }],
  ['Postgres does not answer', { postgresIsUp: false }],
])('silence while %s is not the fault of Temporal', async (_, state) => {
  Object.assign(service.ways, { updateMs: SILENT, temporalIsUp: false, ...state });
  void submit(message('alice', 'a'), message('alice', 'b'), commitSubmission('d', 'bob', 0));
  await pass(5000);
  expect(service.auto.breaker.isOpen).toBe(false);
  expect(service.idsBy('direct')).toEqual([]);
  expect(service.auto.wedged.list().every(({ isLocked }) => isLocked)).toBe(true);
});

test('a lone conversation on a silent Temporal is answered within two seconds, and a probe tells why it was silent', async () => {
  service.ways.updateMs = SILENT;
  service.ways.temporalIsUp = false;
  const outcomes = submit(commitSubmission('c', 'alice', 0));
  await pass(1700);
  expect(await Promise.all(outcomes)).toMatchObject([{ status: 'accepted' }]);
  await pass(1000);
  expect([service.auto.breaker.isOpen, service.auto.wedged.list()]).toEqual([true, []]);
});

test('a lone conversation whose run is stuck is wedged, and the breaker stays closed', async () => {
  service.ways.updateMs = SILENT;
  void submit(message('alice'));
  await pass(1700);
  expect(service.auto.breaker.isOpen).toBe(false);
  expect(service.auto.wedged.list()).toMatchObject([{ conversation: 'c', isLocked: false }]);
});

test('one stuck conversation goes direct by itself, commits too, while the others keep the workflow; then one batch tries again', async () => {
  service.ways.updateMs = (conversation) => (conversation === 'c' ? SILENT : 10);
  const others = setInterval(() => void submit(message('bob', 'well')), 100);
  void submit(message('alice'));
  await pass(1700);
  expect(service.auto.wedged.list()).toMatchObject([{ conversation: 'c', isLocked: false }]);
  const commit = commitSubmission('c', 'alice', 0);
  const outcomes = submit(commit);
  await pass(10);
  expect(await Promise.all(outcomes)).toMatchObject([{ status: 'accepted' }]);
  expect(service.idsBy('direct')).toContain(idOf(commit));
  expect(service.handed.filter(({ conversation, path }) => conversation === 'well' && path === 'direct')).toEqual([]);
  // It is well again.
  service.ways.updateMs = 10;
  await pass(5000);
  const again = message('alice');
  void submit(again);
  await pass(20);
  clearInterval(others);
  expect(service.idsBy('workflow')).toContain(idOf(again));
  expect(service.auto.wedged.list()).toEqual([]);
});

test('half-open: two probes in a row bring the workflow back, with a small budget', async () => {
  service.ways.temporalIsUp = false;
  service.watch.unavailable();
  await pass(5000);
  expect(service.auto.breaker.state).toBe('open');
  service.ways.temporalIsUp = true;
  await pass(4000);
  expect(service.auto.breaker.state).toBe('closed');
  expect(service.auto.budget.limit).toBe(2);
  const back = message('alice');
  void submit(back);
  await pass(20);
  expect(service.idsBy('workflow')).toEqual([idOf(back)]);
});

test('an update that fails is decided directly', async () => {
  service.ways.failure = new AppError('overloaded');
  const outcomes = submit(message('alice'));
  await pass(20);
  expect(await Promise.all(outcomes)).toMatchObject([{ status: 'accepted' }]);
  expect(await service.diversions()).toEqual({ failed: 1 });
});

test('on the path workflow nothing is diverted: requests wait three seconds of an outage, then are refused at once', async () => {
  Object.assign(service.ways, { setting: 'workflow', updateMs: SILENT, temporalIsUp: false });
  const [waiting] = submit(message('alice'));
  service.watch.unavailable();
  await pass(2800);
  const [queued] = submit(message('bob'));
  await pass(400);
  for (const outcome of await Promise.all([waiting, queued])) expect(outcome).toMatchObject({ code: 'unavailable' });
  const retries = await Promise.all(Array.from({ length: 20 }, () => message('carol')).flatMap((one) => submit(one)));
  const times = retries.map((error) => (error as AppError).retryAfterMs ?? 0);
  expect(Math.min(...times)).toBeGreaterThanOrEqual(1000);
  expect(Math.max(...times)).toBeLessThanOrEqual(5000);
  expect(new Set(times).size).toBeGreaterThan(1);
  expect(service.idsBy('direct')).toEqual([]);
  expect(service.rows.size).toBe(0);
  service.ways.temporalIsUp = true;
  service.ways.updateMs = 10;
  await pass(4000);
  const [back] = submit(message('alice'));
  await pass(20);
  expect(await back).toMatchObject({ status: 'accepted' });
});

test('when an operator changes workflow to direct, what the workflow does not answer is decided directly', async () => {
  Object.assign(service.ways, { setting: 'workflow', updateMs: SILENT });
  const outcomes = submit(message('alice'), message('alice'));
  await pass(500);
  service.ways.setting = 'direct';
  service.dispatcher.look();
  await pass(1000);
  expect(await Promise.all(outcomes)).toMatchObject([{ status: 'accepted' }, { status: 'accepted' }]);
});

test('whatever Temporal does, each sender keeps its order, each command is answered, and nothing is left staged', async () => {
  const sending = fc.record({
    user: fc.constantFrom('alice', 'bob', 'carol'),
    conversation: fc.constantFrom('a', 'b', 'd', 'e'),
    kind: fc.constantFrom('message', 'message', 'message', 'commit'),
  });
  const step = fc.oneof(
    { weight: 6, arbitrary: sending },
    { weight: 3, arbitrary: fc.record({ wait: fc.integer({ min: 1, max: 600 }) }) },
    { weight: 1, arbitrary: fc.record({ updateMs: fc.constantFrom(5, 40, 300, 2500, SILENT) }) },
    { weight: 1, arbitrary: fc.constantFrom('unavailable' as const, 'up' as const, 'down' as const) },
    { weight: 1, arbitrary: fc.record({ setting: fc.constantFrom<ConversationPath>('auto', 'direct') }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 80 }), async (steps) => {
      service.close();
      service = startFakeService();
      const sent = new Map<string, string[]>();
      const outcomes: Promise<Outcome | Error>[] = [];
      for (const one of steps) {
        if (one === 'unavailable') service.watch.unavailable();
        else if (one === 'up' || one === 'down') service.ways.temporalIsUp = one === 'up';
        else if ('wait' in one) await pass(one.wait);
        else if ('updateMs' in one) service.ways.updateMs = one.updateMs;
        else if ('setting' in one) service.ways.setting = one.setting;
        else {
          const { user, conversation, kind } = one;
          const next = kind === 'commit' ? commitSubmission(conversation, user, 0) : message(user, conversation);
          const key = `${conversation}/${user}`;
          sent.set(key, [...(sent.get(key) ?? []), idOf(next)]);
          outcomes.push(...submit(next));
        }
      }
      await pass(9000);
      for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatchObject({ status: 'accepted' });
      for (const ids of sent.values()) {
        // The first time that each was handed over, and the last: a rescue comes before anything later of the same sender.
        const all = service.handed.flatMap((batch) => batch.ids);
        const first = ids.map((id) => all.indexOf(id));
        const last = ids.map((id) => all.lastIndexOf(id));
        for (let i = 1; i < ids.length; i++) {
          const isTogether = service.handed.some(
            (batch) => batch.ids.includes(ids[i] ?? '') && batch.ids.includes(ids[i - 1] ?? ''),
          );
          expect(isTogether || (first[i] ?? 0) > (last[i - 1] ?? 0)).toBe(true);
        }
      }
      expect(service.rows.size).toBe(0);
    }),
    { numRuns: 60 },
  );
});
