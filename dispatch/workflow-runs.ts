import { type Client } from '@temporalio/client';
import { AppError } from '../domain/errors.ts';
import type { ConversationId } from '../domain/ids.ts';
import { conversationWorkflowId } from '../workflows/conversation/messages.ts';
import type { ConversationWorkflows } from './conversation-workflows.ts';

/** The workflow of a conversation, for operators. */
export interface WorkflowRun {
  /** Workflow id. */
  readonly id: string;
  /** Its page in the Temporal Web UI, if the address of the Web UI is known. */
  readonly url?: string;
  /** Absent when Temporal does not answer. */
  readonly running?: boolean;
}

/** What operators do with workflows of conversations. Nothing is lost by any of it: what is decided is in Postgres. */
export interface WorkflowRuns {
  readonly describe: (conversation: ConversationId, deadline: number) => Promise<WorkflowRun>;
  /** Has the run finish its queue and complete; without a run nothing happens. @throws AppError `unavailable` */
  readonly shutdown: (conversation: ConversationId, reason: string, deadline: number) => Promise<void>;
  /** Ends the run at once, whatever it does: the server does this alone. @throws AppError `unavailable` */
  readonly terminate: (conversation: ConversationId, reason: string, deadline: number) => Promise<void>;
  /** Has the run look into Postgres, and starts one unless one runs. @throws AppError `unavailable` */
  readonly wake: (conversation: ConversationId, deadline: number) => Promise<void>;
  /**
   * Like `shutdown`, then starts the next run. A run that does not end within seconds is terminated: it is wedged, or no worker is
   * there. @returns how the run ended; `undefined` = none was running
   * @throws AppError `unavailable`, `deadline`
   */
  readonly restart: (
    conversation: ConversationId,
    reason: string,
    deadline: number,
  ) => Promise<'completed' | 'terminated' | undefined>;
}

export interface WorkflowRunsDeps {
  readonly client: Client;
  readonly workflows: ConversationWorkflows;
  readonly namespace: string;
  /** Without a slash at its end. */
  readonly uiUrl: string | undefined;
}

/** Facts from the database are useful without Temporal, so the description waits only this long. */
const DESCRIBE_MS = 2000;
/** A run that can end answers a shutdown within one batch. */
const END_MS = 3000;

export function makeWorkflowRuns({ client, workflows, namespace, uiUrl }: WorkflowRunsDeps): WorkflowRuns {
  const within = async <T>(deadline: number, act: () => Promise<T>): Promise<T> => {
    try {
      return await client.withDeadline(deadline, act);
    } catch (error) {
      if (Date.now() >= deadline) throw new AppError('deadline', undefined, {}, { cause: error });
      throw new AppError('unavailable', 'Temporal does not answer', {}, { cause: error });
    }
  };

  const endRun = async (
    conversation: string,
    runId: string,
    reason: string,
    deadline: number,
  ): Promise<'completed' | 'terminated'> => {
    const now = Date.now();
    // Half of a short deadline is left for the rest.
    const until = now + Math.min(END_MS, (deadline - now) / 2);
    try {
      await client.withDeadline(until, () => workflows.ended(conversation, runId));
      return 'completed';
    } catch {
      // The server may end the wait before we would, by its own clock. If Temporal does not answer, this call says so.
      await workflows.terminate(conversation, runId, reason);
      return 'terminated';
    }
  };

  return {
    describe: async (conversation, deadline) => {
      const id = conversationWorkflowId(conversation);
      const url =
        uiUrl === undefined ? {} : { url: `${uiUrl}/namespaces/${namespace}/workflows/${encodeURIComponent(id)}` };
      try {
        const until = Math.min(deadline, Date.now() + DESCRIBE_MS);
        return { id, ...url, running: (await within(until, () => workflows.runOf(conversation))) !== undefined };
      } catch {
        return { id, ...url };
      }
    },
    shutdown: (conversation, reason, deadline) =>
      within(deadline, async () => {
        await workflows.shutDown(conversation, reason);
      }),
    terminate: (conversation, reason, deadline) =>
      within(deadline, async () => {
        const runId = await workflows.runOf(conversation);
        if (runId !== undefined) await workflows.terminate(conversation, runId, reason);
      }),
    wake: (conversation, deadline) => within(deadline, () => workflows.refresh(conversation)),
    restart: (conversation, reason, deadline) =>
      within(deadline, async () => {
        const runId = await workflows.shutDown(conversation, reason);
        const end = runId === undefined ? undefined : await endRun(conversation, runId, reason, deadline);
        await workflows.start(conversation);
        return end;
      }),
  };
}
