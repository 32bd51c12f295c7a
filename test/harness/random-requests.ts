import fc from 'fast-check';
import type { PolicyChange } from '../../domain/policy.ts';
import type { Model } from './model.ts';
import type { Request } from './requests.ts';

/** The first three are the members at the start; the last is never added. */
export const USERS = ['alice', 'bob', 'carol', 'dave', 'erin', 'mallory'] as const;

/** What to ask, before it is known in which epoch it will be asked, and after which other requests. */
export type Step =
  | { readonly kind: 'fresh'; readonly make: (model: Model, n: number) => Request }
  | { readonly kind: 'retry'; readonly back: number; readonly change: 'nothing' | 'bytes' | 'actor' };

const { PROPERTY_RUNS, PROPERTY_SEED } = process.env;

/** Time of a property test: an hour when `PROPERTY_RUNS` asks for a long run by hand. */
export const PROPERTY_TIMEOUT_MS = PROPERTY_RUNS === undefined ? 60_000 : 3_600_000;

/**
 * Runs of a property test; `PROPERTY_RUNS` asks for more, `PROPERTY_SEED` repeats one. The search for the smallest
 * counterexample ends before the test does, so that the failure is always shown.
 */
export function propertyOptions(runs: number): { numRuns: number; seed?: number; plugins: fc.Plugin<unknown>[] } {
  return {
    numRuns: PROPERTY_RUNS === undefined ? runs : Number(PROPERTY_RUNS),
    plugins: [fc.interruptAfterTimeLimit(PROPERTY_TIMEOUT_MS * 0.7)],
    ...(PROPERTY_SEED === undefined ? {} : { seed: Number(PROPERTY_SEED) }),
  };
}

/** Turns steps into requests, each made for the state that the model is in when it is its turn. */
export function makeRequests(): (step: Step, model: Model) => Request {
  const sent: Request[] = [];
  return (step, model) => {
    const request = step.kind === 'fresh' ? step.make(model, sent.length) : again(step, sent);
    if (request === undefined) return { kind: 'read', id: `filler-${sent.length}`, actor: 'alice' };
    sent.push(request);
    return request;
  };
}

function again(step: Extract<Step, { kind: 'retry' }>, sent: readonly Request[]): Request | undefined {
  const request = sent.at(-1 - (step.back % Math.max(sent.length, 1)));
  if (request === undefined) return undefined;
  if (step.change === 'actor') return { ...request, actor: request.actor === 'bob' ? 'carol' : 'bob' };
  if (step.change === 'bytes' && 'body' in request && request.body !== undefined) {
    return { ...request, body: `${request.body} changed` };
  }
  return request;
}

type Pick = (model: Model) => string;

/** Mostly somebody in the conversation, so that most requests get past the first check. */
const user: fc.Arbitrary<Pick> = fc.record({ stranger: oneIn(10), n: fc.nat(30) }).map(({ stranger, n }) => (model) => {
  const users = stranger ? USERS : model.currentMembers();
  return users[n % users.length] ?? USERS[0];
});
/** Mostly somebody who is not in it. */
const outsider: fc.Arbitrary<Pick> = fc.record({ member: oneIn(4), n: fc.nat(30) }).map(({ member, n }) => (model) => {
  const outside = USERS.slice(0, 5).filter((each) => member || !model.currentMembers().includes(each));
  return outside[n % outside.length] ?? USERS[0];
});
const body = fc.constantFrom('one', 'two', 'three');
/** Mostly the current epoch, sometimes one around it; `undefined` = not stated. */
const epochShift = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0) },
  { weight: 3, arbitrary: fc.integer({ min: -4, max: 2 }) },
);
const unstated = oneIn(4);
const isLate = oneIn(15);

function oneIn(n: number): fc.Arbitrary<boolean> {
  return fc.nat(n - 1).map((value) => value === 0);
}

/** An epoch for a request; `mls` frames always name one. */
function epochFor(model: Model, shift: number, leaveOut: boolean): number | undefined {
  return model.protocol === 'opaque' && leaveOut ? undefined : Math.max(0, model.epoch + shift);
}

/** Far enough from now that no clock matters. */
function notAfter(isPast: boolean): number {
  return Date.now() + (isPast ? -3_600_000 : 3_600_000);
}

export const message: fc.Arbitrary<Step> = fc
  .record({ actor: user, body, epochShift, unstated, isLate, id: fc.integer({ min: 0, max: 60 }) })
  .map(({ actor, id, ...rest }) => ({
    kind: 'fresh',
    make: (model) => ({
      kind: 'message',
      id: `m${id}`,
      actor: actor(model),
      body: rest.body,
      epoch: epochFor(model, rest.epochShift, rest.unstated),
      notAfter: notAfter(rest.isLate),
    }),
  }));

const proposal: fc.Arbitrary<Step> = fc
  .record({ actor: user, body, epochShift, unstated })
  .map(({ actor, ...rest }) => ({
    kind: 'fresh',
    make: (model, n) => ({
      kind: 'message',
      type: 'proposal',
      id: `p${n % 20}`,
      actor: actor(model),
      body: rest.body,
      epoch: epochFor(model, rest.epochShift, rest.unstated),
    }),
  }));

const commit: fc.Arbitrary<Step> = fc
  .record({
    actor: user,
    adds: fc.array(outsider, { maxLength: 2 }),
    removes: fc.oneof(
      { weight: 2, arbitrary: fc.constant<Pick[]>([]) },
      { weight: 1, arbitrary: fc.array(user, { maxLength: 2 }) },
    ),
    epochShift,
    unstated,
    isLate,
    withBytes: fc.boolean(),
    welcome: fc.boolean(),
    groupInfo: fc.boolean(),
    id: fc.integer({ min: 0, max: 30 }),
  })
  .map(({ actor, adds, removes, ...rest }) => ({
    kind: 'fresh',
    make: (model, n) => {
      const bytes = (model.protocol === 'mls' && !rest.unstated) || rest.withBytes;
      const adding = adds.map((pick) => pick(model));
      // Those who left by themselves wait for a commit that removes them.
      const leaving = [...model.members].filter(([, { state }]) => state === 'leaving').map(([each]) => each);
      const removing = removes.map((pick) => leaving.pop() ?? pick(model));
      return {
        kind: 'commit',
        id: `c${rest.id}`,
        actor: actor(model),
        adds: adding,
        removes: removing,
        epoch: epochFor(model, rest.epochShift, rest.unstated),
        notAfter: notAfter(rest.isLate),
        ...(bytes ? { body: `commit ${n % 12}` } : {}),
        // In `mls` a Welcome names claimed key packages: test/integration/store/bundle.test.ts.
        ...(bytes && rest.welcome && model.protocol === 'opaque' ? { welcome: `welcome ${n}` } : {}),
        ...(bytes && rest.groupInfo ? { groupInfo: `group info ${n}` } : {}),
      };
    },
  }));

const leave: fc.Arbitrary<Step> = fc.record({ actor: user, withBytes: fc.boolean() }).map(({ actor, withBytes }) => ({
  kind: 'fresh',
  make: (model, n) => ({
    kind: 'leave',
    id: `l${n % 15}`,
    actor: actor(model),
    ...(withBytes ? { body: `leave ${n}`, epoch: model.epoch } : {}),
  }),
}));

const policyChange: fc.Arbitrary<PolicyChange> = fc.oneof(
  fc.record({ epochWindow: fc.integer({ min: 0, max: 4 }) }),
  fc.record({ maxMembers: fc.integer({ min: 2, max: 5 }) }),
  fc.record({ whoMayAdd: fc.constantFrom('admin' as const, 'member' as const, 'nobody' as const) }),
  fc.record({ whoMayRemove: fc.constantFrom('admin' as const, 'member' as const, 'nobody' as const) }),
  fc.record({ whoMayPropose: fc.constantFrom('admin' as const, 'member' as const, 'nobody' as const) }),
);

const other: fc.Arbitrary<Step> = fc
  .record({
    actor: user,
    target: user,
    bars: outsider,
    seqBack: fc.integer({ min: -2, max: 12 }),
    by: fc.integer({ min: 1, max: 5 }),
    policy: policyChange,
    role: fc.constantFrom('admin' as const, 'member' as const),
    which: fc.constantFrom(
      'read' as const,
      'read all' as const,
      'increment' as const,
      'role' as const,
      'policy' as const,
      'bar' as const,
    ),
  })
  .map(({ actor, which, ...rest }) => ({
    kind: 'fresh',
    make: (model, n): Request => {
      const base = { id: `o${n % 40}`, actor: actor(model) };
      switch (which) {
        case 'read':
          return { kind: 'read', ...base, seq: Math.max(0, model.lastSeq - rest.seqBack) };
        case 'read all':
          return { kind: 'read', ...base };
        case 'increment':
          return { kind: 'increment', ...base, by: rest.by };
        case 'role':
          return { kind: 'role', ...base, user: rest.target(model), role: rest.role };
        case 'bar':
          return { kind: 'bar', ...base, user: rest.bars(model), barred: rest.by > 2 };
        case 'policy':
          return { kind: 'policy', ...base, policy: rest.policy };
      }
    },
  }));

const retry: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('retry' as const),
  back: fc.integer({ min: 0, max: 40 }),
  change: fc.constantFrom('nothing', 'nothing', 'bytes', 'actor'),
});

/** Any request of any user, retries among them. */
export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: message },
  { weight: 2, arbitrary: proposal },
  { weight: 5, arbitrary: commit },
  { weight: 1, arbitrary: leave },
  { weight: 4, arbitrary: other },
  { weight: 4, arbitrary: retry },
);
