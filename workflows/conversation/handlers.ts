import { setHandler } from '@temporalio/workflow';
import { MAX_BATCH_OPERATIONS } from '../../domain/limits.ts';
import type { StagedCommand } from '../../domain/staged-command.ts';
import { undecided } from './failures.ts';
import * as messages from './messages.ts';
import type { ConversationRun } from './run.ts';

interface UpdateHandlerOptions {
  readonly description: string;
  readonly validator: (input: messages.UpdateInput) => void;
}

/** Connects the messages of the conversation with its run. A handler only validates, queues and waits. */
export function registerHandlers(run: ConversationRun): void {
  const update = (description: string): UpdateHandlerOptions => ({
    description,
    validator: (input: messages.UpdateInput) => validate(run, input),
  });
  const deliver = (input: messages.UpdateInput): Promise<messages.UpdateResult> => run.mailbox.deliver(input);
  setHandler(messages.sendMessages, deliver, update('Store 1 to 256 messages, given by reference'));
  setHandler(messages.commit, deliver, update('Store a commit if it ends the current epoch'));
  setHandler(messages.addMembers, deliver, update('Add users, with a commit in mls conversations'));
  setHandler(messages.removeMember, deliver, update('Remove a user, or let one leave'));
  setHandler(messages.resetUnread, deliver, update('Move read positions forward and clear explicit increments'));
  setHandler(
    messages.administer,
    deliver,
    update('Change a role or the policy, supply a GroupInfo, report, reset or delete the conversation'),
  );
  setHandler(messages.incrementUnread, (command) => addIncrement(run, command), {
    description: 'Add to the unread count of everybody but the sender',
  });
  setHandler(messages.refresh, () => run.refresh(), {
    description: 'Load facts and due times from Postgres: something may have been decided beside this run',
  });
  // Operators send it by hand, also without input.
  setHandler(messages.shutdown, (given?: Partial<messages.Shutdown>) => run.shutDown(given?.reason ?? ''), {
    description: 'Finish queued work and complete; the next command starts the conversation again',
  });
  setHandler(messages.state, () => run.state(), { description: 'Epoch, members, queue and health' });
  setHandler(messages.epoch, () => run.facts?.epoch, { description: 'The current epoch, as last seen' });
}

/** Refuses only what is certain. Synchronous: a rejected promise would not reject the update. */
function validate(run: ConversationRun, input: messages.UpdateInput): void {
  // Operators can send updates by hand, so the shape is checked at run time.
  const operations = (input as Partial<messages.UpdateInput> | undefined)?.operations;
  if (!Array.isArray(operations) || operations.length === 0 || operations.length > MAX_BATCH_OPERATIONS) {
    // The details answer those who only want to know the state (`dispatch/run-state.ts`). A refusal leaves no event.
    throw undecided('malformed', `An update carries 1 to ${MAX_BATCH_OPERATIONS} operations`, [run.state()]);
  }
  if (!operations.every(isCommand)) throw undecided('malformed', 'An operation has a kind and an id');
  if (run.closing || run.shutdownReason !== undefined) throw undecided('closing', 'The run is ending');
  if (run.mailbox.depth + operations.length > run.settings.mailboxLimit) {
    throw undecided('overloaded', 'The mailbox is full', [{ depth: run.mailbox.depth }]);
  }
}

/** The fields that the mailbox and the deciding transaction rely on. All others are judged there. */
function isCommand(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { id, kind } = value as Partial<Record<keyof StagedCommand, unknown>>;
  return typeof id === 'string' && typeof kind === 'string';
}

/** Starts no timer: the order of a timer among the messages of a task would differ in a replay after a reset. */
function addIncrement(run: ConversationRun, command: messages.WaitingIncrement): void {
  run.increments.push({ ...command, kind: 'increment' });
  run.wake();
  if (!run.handlersOnlyQueue) run.setFlushAlarm();
}
