import {
  type Client,
  WorkflowContinuedAsNewError,
  WorkflowFailedError,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { AppError } from '../domain/errors.ts';
import type { ConversationId } from '../domain/ids.ts';
import {
  type ConversationSettings,
  conversationWorkflowId,
  shutdown as shutdownSignal,
} from '../workflows/conversation/messages.ts';
import { conversationStart } from '../workflows/conversation/start.ts';
import { CONVERSATION_WORKFLOW } from '../workflows/names.ts';

/** The workflow of a conversation. */
export interface Run {
  /** Workflow id. */
  readonly id: string;
  /** Its page in the Temporal Web UI, if that is known. */
  readonly url?: string;
  /** Absent while Temporal cannot be asked. */
  readonly running?: boolean;
}

/** What operators do with workflows of conversations. Nothing is lost by any of it: what is decided is in Postgres. */
export interface Runs {
  readonly describe: (conversation: ConversationId, deadline: number) => Promise<Run>;
  /** Has the run finish what it has and complete; without one nothing happens. @throws AppError `unavailable` */
  readonly shutdown: (conversation: ConversationId, reason: string, deadline: number) => Promise<void>;
  /** The same, then starts the next run. @throws AppError `unavailable`, `deadline` */
  readonly restart: (conversation: ConversationId, reason: string, deadline: number) => Promise<void>;
}

export interface RunsDeps {
  readonly client: Client;
  readonly taskQueue: string;
  readonly settings: ConversationSettings;
  readonly namespace: string;
  /** Without a slash at its end. */
  readonly uiUrl: string | undefined;
}

export function makeRuns({ client, taskQueue, settings, namespace, uiUrl }: RunsDeps): Runs {
  /** Run id of the run, if there is one. */
  const current = async (workflowId: string): Promise<string | undefined> => {
    try {
      const { status, runId } = await client.workflow.getHandle(workflowId).describe();
      return status.name === 'RUNNING' ? runId : undefined;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  };
  /** Asks the run to end. @returns its run id, if there is one */
  const signal = async (conversation: ConversationId, reason: string): Promise<string | undefined> => {
    const workflowId = conversationWorkflowId(conversation);
    const runId = await current(workflowId);
    if (runId === undefined) return undefined;
    await client.workflow.getHandle(workflowId, runId).signal(shutdownSignal, { reason }).catch(ignoreEnd);
    return runId;
  };
  const within = async <T>(deadline: number, act: () => Promise<T>): Promise<T> => {
    try {
      return await client.withDeadline(deadline, act);
    } catch (error) {
      if (Date.now() >= deadline) throw new AppError('deadline', undefined, {}, { cause: error });
      throw new AppError('unavailable', 'Temporal is away', {}, { cause: error });
    }
  };

  return {
    describe: async (conversation, deadline) => {
      const id = conversationWorkflowId(conversation);
      const url =
        uiUrl === undefined ? {} : { url: `${uiUrl}/namespaces/${namespace}/workflows/${encodeURIComponent(id)}` };
      try {
        const until = Math.min(deadline, Date.now() + DESCRIBE_MS);
        return { id, ...url, running: (await within(until, () => current(id))) !== undefined };
      } catch {
        return { id, ...url };
      }
    },
    shutdown: (conversation, reason, deadline) =>
      within(deadline, async () => {
        await signal(conversation, reason);
      }),
    restart: (conversation, reason, deadline) =>
      within(deadline, async () => {
        const runId = await signal(conversation, reason);
        if (runId !== undefined) {
          const handle = client.workflow.getHandle(conversationWorkflowId(conversation), runId, { followRuns: false });
          await handle.result().catch(ignoreEnd);
        }
        await client.workflow.start(CONVERSATION_WORKFLOW, {
          ...conversationStart(conversation, settings, taskQueue),
          workflowIdConflictPolicy: 'USE_EXISTING',
        });
      }),
  };
}

/** Facts from the database are of use without Temporal, and soon. */
const DESCRIBE_MS = 2000;

/** However a run ended, it has. */
function ignoreEnd(error: unknown): void {
  const ended = [WorkflowNotFoundError, WorkflowFailedError, WorkflowContinuedAsNewError];
  if (!ended.some((kind) => error instanceof kind)) throw error;
}
