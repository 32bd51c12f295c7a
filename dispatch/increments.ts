import type { Client } from '@temporalio/client';
import { AppError } from '../domain/errors.ts';
import type { IncrementOperation } from '../domain/operation.ts';
import { type ConversationSettings, incrementUnread } from '../workflows/conversation/messages.ts';
import { conversationStart } from '../workflows/conversation/start.ts';
import { CONVERSATION_WORKFLOW } from '../workflows/names.ts';
import type { Path, PathName } from './executor.ts';
import { jitter, pause } from './pause.ts';
import { classifyUpdateError } from './temporal-errors.ts';

export interface Increment {
  readonly conversation: string;
  /** The sender: everybody else's unread count grows. */
  readonly user: string;
  readonly by: number;
  /** Operation id: a retry counts once. */
  readonly id: string;
  readonly deadline: number;
  readonly requestId: string;
}

/**
 * Takes an explicit unread increment. When it returns, the increment is durable: in Temporal (a signal, applied with the
 * next batch or within a second), or decided already on the direct path.
 */
export function makeIncrementer(deps: {
  readonly client: Client;
  readonly taskQueue: string;
  readonly settings: ConversationSettings;
  readonly pathOf: (conversation: string) => PathName;
  readonly direct: Path;
}): (increment: Increment) => Promise<void> {
  return async ({ conversation, user, by, id, deadline, requestId }) => {
    // No notAfter: what was answered 202 is applied, however late.
    const operation: IncrementOperation = { kind: 'increment', id, actor: user, by };
    if (deps.pathOf(conversation) === 'direct') {
      await deps.direct({ id, conversation, items: [{ operation }], requests: [requestId], deadline });
      return;
    }
    for (;;) {
      try {
        await deps.client.withDeadline(deadline, () =>
          deps.client.workflow.signalWithStart(CONVERSATION_WORKFLOW, {
            ...conversationStart(conversation, deps.settings, deps.taskQueue),
            signal: incrementUnread,
            signalArgs: [operation],
          }),
        );
        return;
      } catch (error) {
        if (classifyUpdateError(error) === 'defect' || Date.now() >= deadline) {
          throw new AppError('unavailable', 'The increment could not be stored', {}, { cause: error });
        }
        await pause(jitter(20, 200), deadline);
      }
    }
  };
}
