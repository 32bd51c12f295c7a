import { ApplicationFailure } from '@temporalio/common';
import { beforeEach, expect, test, vi } from 'vitest';
import { registerHandlers } from '../../../workflows/conversation/handlers.ts';
import type { ConversationRun } from '../../../workflows/conversation/run.ts';
import { someFacts, someRun } from '../../harness/conversation-run.ts';
import { type Registered, resetSurroundings, surroundings } from '../../harness/fake-workflow.ts';

vi.mock('@temporalio/workflow', async (original) => ({
  ...(await original<object>()),
  ...(await import('../../harness/fake-workflow.ts')).workflowModule,
}));

beforeEach(resetSurroundings);

const UPDATES = ['sendMessages', 'commit', 'addMembers', 'removeMember', 'resetUnread', 'administer'];
const message = { kind: 'message', id: 'a', sha256: 'aa', body: 1, size: 1 };
const increment = { kind: 'increment', id: 'i', actor: 'bob', by: 1 };

function registered(settings: Parameters<typeof someRun>[0] = {}): {
  run: ConversationRun;
  named: (name: string) => Registered;
} {
  const { run } = someRun(settings);
  registerHandlers(run);
  return {
    run,
    named: (name) => {
      const found = surroundings.handlers.get(name);
      if (found === undefined) throw new Error(`There is no handler ${name}`);
      return found;
    },
  };
}

/** The type of the failure with which the validator refuses an input; undefined = it does not. */
function refusalOf(named: (name: string) => Registered, input: unknown, update = 'sendMessages'): string | undefined {
  try {
    named(update).options.validator?.(input);
    return undefined;
  } catch (error) {
    if (!(error instanceof ApplicationFailure)) throw error;
    return `${error.type}: ${error.message}`;
  }
}

test('every message has a handler and a description for people, and only updates are validated', () => {
  const { named } = registered();
  const others = ['incrementUnread', 'refresh', 'shutdown', 'state', 'epoch'];
  expect([...surroundings.handlers.keys()].sort()).toEqual([...UPDATES, ...others].sort());
  const descriptions = [...UPDATES, ...others].map((name) => named(name).options.description ?? '');
  expect(descriptions.every((text) => /^[A-Z].{10,}/.test(text))).toBe(true);
  expect(new Set(descriptions).size).toBe(descriptions.length);
  for (const name of UPDATES) expect(refusalOf(named, undefined, name)).toMatch(/^malformed/);
  for (const name of others) expect(named(name).options.validator).toBeUndefined();
});

test('an update waits in the mailbox for its answer', async () => {
  const { run, named } = registered();
  const answer = named('commit').handler({ operations: [message], requests: ['r'] });
  const [update] = run.mailbox.take();
  if (update === undefined) throw new Error('nothing was queued');
  const given = { outcomes: [] };
  update.answer(given);
  await vi.advanceTimersByTimeAsync(2);
  await expect(answer).resolves.toBe(given);
});

const TOO_MANY = 'malformed: An update carries 1 to 256 operations';
const NO_COMMAND = 'malformed: An operation has a kind and an id';

test.each([
  ['no input', undefined, TOO_MANY],
  ['no operations', {}, TOO_MANY],
  ['operations that are no list', { operations: { length: 1 } }, TOO_MANY],
  ['an empty list', { operations: [] }, TOO_MANY],
  ['257 operations', { operations: Array.from({ length: 257 }, () => message) }, TOO_MANY],
  ['null as an operation', { operations: [message, null] }, NO_COMMAND],
  ['a text as an operation', { operations: ['a'] }, NO_COMMAND],
  ['a function of operations', { operations: [Object.assign(() => 0, { id: 'a', kind: 'b' })] }, NO_COMMAND],
  ['an operation without id', { operations: [{ kind: 'read' }] }, NO_COMMAND],
  ['an operation without kind', { operations: [{ id: 'a' }] }, NO_COMMAND],
  ['one operation', { operations: [message] }, undefined],
  ['256 operations', { operations: Array.from({ length: 256 }, () => message) }, undefined],
])('an update with %s is judged before it is queued', (_, input, refusal) => {
  const { run, named } = registered();
  expect(refusalOf(named, input)).toBe(refusal);
  expect(run.mailbox.isEmpty()).toBe(true);
});

test('a run that is ending refuses updates, so that the next run takes them', () => {
  const { run, named } = registered();
  run.closing = true;
  expect(refusalOf(named, { operations: [message] })).toBe('closing: The run is ending');
  run.closing = false;
  expect(refusalOf(named, { operations: [message] })).toBeUndefined();
  named('shutdown').handler({ reason: 'maintenance' });
  expect(run.shutdownReason).toBe('maintenance');
  expect(refusalOf(named, { operations: [message] })).toBe('closing: The run is ending');
});

test.each([undefined, {}])('an operator may send shutdown without a reason: %o', (given) => {
  const { run, named } = registered();
  named('shutdown').handler(given);
  expect(run.shutdownReason).toBe('');
});

test('a full mailbox refuses what it cannot hold and says how much waits', () => {
  const { run, named } = registered({ mailboxLimit: 3 });
  void run.mailbox.deliver({ operations: [increment as never, increment as never], requests: [] });
  expect(refusalOf(named, { operations: [message] })).toBeUndefined();
  expect(refusalOf(named, { operations: [message, message] })).toBe('overloaded: The mailbox is full');
  expect(() => named('commit').options.validator?.({ operations: [message, message] })).toThrow(
    expect.objectContaining({ details: [{ depth: 2 }] }) as Error,
  );
});

test('an increment waits for the next batch; only a run of older code sets a timer for it in the handler', () => {
  const { run, named } = registered();
  named('incrementUnread').handler({ ...increment, kind: 'anything' });
  expect(run.increments).toEqual([increment]);
  expect(run.flush.isSet).toBe(false);
  surroundings.isPatched = false;
  const older = registered();
  older.named('incrementUnread').handler(increment);
  expect(older.run.flush.isSet).toBe(true);
});

test('queries tell the state of the run and its epoch', () => {
  const { run, named } = registered();
  expect(named('epoch').handler(undefined)).toBeUndefined();
  run.learn(someFacts());
  expect(named('epoch').handler(undefined)).toBe(3);
  expect(named('state').handler(undefined)).toEqual(run.state());
});
