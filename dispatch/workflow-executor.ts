import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { AppError } from '../domain/errors.ts';
import type { Operation } from '../domain/operation.ts';
import { unpackOutcomes } from '../domain/outcome.ts';
import {
  type ConversationSettings,
  type UpdateInput,
  type UpdateResult,
  addMembers,
  administer,
  commit,
  conversationWorkflowId,
  removeMember,
  resetUnread,
  sendMessages,
} from '../workflows/conversation/messages.ts';
import { conversationStart } from '../workflows/conversation/start.ts';
import { CONVERSATION_WORKFLOW } from '../workflows/names.ts';
import type { Path } from './executor.ts';
import { jitter, pause } from './pause.ts';
import { classifyUpdateError } from './temporal-errors.ts';

/** One call waits this long at most; a connection that died silently must not eat the whole deadline. */
const CALL_MS = 4000;
/** Conversations whose workflow is believed to run: they are spared the start. */
const KNOWN_RUNNING = 50_000;

export interface WorkflowPathDeps {
  readonly client: Client;
  readonly taskQueue: string;
  readonly settings: ConversationSettings;
  readonly log: Logger;
  readonly onRetry: (reason: string) => void;
}

/** Hands a batch to the conversation's workflow as one update, and tries again until its deadline. */
export function makeWorkflowPath(deps: WorkflowPathDeps): Path {
  const running = new LRUCache<string, true>({ max: KNOWN_RUNNING });

  const call = async (
    conversation: string,
    update: typeof sendMessages,
    updateId: string,
    input: UpdateInput,
  ): Promise<UpdateResult> => {
    const args: [UpdateInput] = [input];
    if (running.has(conversation)) {
      return deps.client.workflow
        .getHandle(conversationWorkflowId(conversation))
        .executeUpdate(update, { args, updateId });
    }
    const startWorkflowOperation = new WithStartWorkflowOperation(CONVERSATION_WORKFLOW, {
      ...conversationStart(conversation, deps.settings, deps.taskQueue),
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
    const result = await deps.client.workflow.executeUpdateWithStart(update, {
      args,
      updateId,
      startWorkflowOperation,
    });
    running.set(conversation, true);
    return result;
  };

  return async (batch) => {
    const { conversation, deadline } = batch;
    const operations = batch.items.map(({ operation }) => operation);
    const input: UpdateInput = { operations, requests: batch.requests };
    const update = updateFor(operations[0]);
    let attempt = 0;
    for (let retries = 0; ; retries++) {
      try {
        const until = Math.min(Date.now() + CALL_MS, deadline);
        const result = await deps.client.withDeadline(until, () =>
          call(conversation, update, `${batch.id}.${attempt}`, input),
        );
        return { outcomes: unpackOutcomes(result.outcomes), retries };
      } catch (error) {
        const failure = classifyUpdateError(error);
        const facts = { conversation, batch: batch.id, attempt, failure, requests: batch.requests };
        deps.onRetry(failure);
        if (failure === 'overloaded') throw new AppError('overloaded', undefined, {}, { cause: error });
        if (failure === 'defect') {
          deps.log.error({ ...facts, err: error }, 'update failed');
          throw new AppError('internal', 'The conversation could not take the operation', {}, { cause: error });
        }
        deps.log.debug({ ...facts, err: error }, 'update not decided');
        if (Date.now() >= deadline) throw new AppError('deadline', undefined, {}, { cause: error });
        if (failure === 'gone') running.delete(conversation);
        if (failure === 'gone' || failure === 'infra') attempt++;
        // The first time the next run takes it at once.
        if (failure !== 'gone' || retries > 0) await pause(jitter(20, 200), deadline);
      }
    }
  };
}

/** The update that carries operations of this kind. */
function updateFor(operation: Operation | undefined): typeof sendMessages {
  switch (operation?.kind) {
    case 'message':
      return sendMessages;
    case 'read':
      return resetUnread;
    case 'leave':
      return removeMember;
    case 'commit':
      if (operation.sha256 !== undefined) return commit;
      return (operation.removes?.length ?? 0) > 0 ? removeMember : addMembers;
    // Roles, policy, deletion, GroupInfos, reports, resets.
    default:
      return administer;
  }
}
