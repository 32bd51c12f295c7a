import { status } from '@grpc/grpc-js';
import {
  type Client,
  ServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
  isGrpcServiceError,
} from '@temporalio/client';
import { askState } from './run-state.ts';
import { conversationRuns } from './running-workflows.ts';
import type { FailedRun } from '../domain/supervision/look.ts';
import { type ConversationSettings, conversationWorkflowId, sendMessages } from '../workflows/conversation/messages.ts';
import { makeProbe } from './auto/probe.ts';
import type { ConversationWorkflows } from './conversation-workflows.ts';

/** Time for the server alone to answer. */
const CALL_MS = 3000;
/** Time for a run to say its state. One that does not is no sign by itself. */
const STATE_MS = 1000;
/** Problems of workflow tasks that the server reports in visibility, from release 1.30 on. */
const PROBLEMS = `TemporalReportedProblems in ('category=WorkflowTaskFailed', 'category=WorkflowTaskTimedOut')`;
const PREFIX = conversationWorkflowId('');

/** What the supervisor asks of the workflows of conversations, and does to them (`activities/supervisor/runs.ts`). */
export interface SupervisedRuns {
  readonly failing: (limit: number) => Promise<string[]>;
  readonly failedSince: (since: number, limit: number) => Promise<FailedRun[]>;
  readonly sample: (from: string, size: number) => Promise<{ conversations: string[]; next: string }>;
  readonly belief: (conversation: string) => Promise<{ epoch: number; lastSeq: number } | undefined>;
  readonly runOf: (conversation: string) => Promise<{ runId: string; attempts: number } | undefined>;
  readonly answers: (
    conversation: string,
    runId: string,
    patienceMs: number,
  ) => Promise<'yes' | 'no' | 'refused' | 'ended'>;
  readonly workersAnswer: () => Promise<boolean>;
  readonly replace: (conversation: string, runId: string | undefined, reason: string) => Promise<void>;
}

export interface SupervisedRunsDeps {
  readonly client: Client;
  readonly taskQueue: string;
  readonly settings: ConversationSettings;
  readonly workflows: Pick<ConversationWorkflows, 'start' | 'terminate'>;
}

export function makeSupervisedRuns(deps: SupervisedRunsDeps): SupervisedRuns {
  const { client, taskQueue, workflows } = deps;
  const { namespace } = client.options;
  const ours = conversationRuns(taskQueue);
  const within = <T>(ms: number, call: () => Promise<T>): Promise<T> => client.withDeadline(Date.now() + ms, call);
  const list = async (
    query: string,
    pageSize: number,
    nextPageToken?: Uint8Array,
  ): Promise<{ found: FailedRun[]; next: Uint8Array }> => {
    const { executions, nextPageToken: next } = await within(CALL_MS, () =>
      client.workflowService.listWorkflowExecutions({
        namespace,
        query,
        pageSize,
        ...(nextPageToken === undefined ? {} : { nextPageToken }),
      }),
    );
    const found = executions.flatMap(({ execution }): FailedRun[] => {
      const conversation = conversationOf(execution?.workflowId ?? '');
      return conversation === undefined ? [] : [{ conversation, runId: execution?.runId ?? '' }];
    });
    return { found, next };
  };

  return {
    failing: async (limit) => {
      const { found } = await list(`${ours} and ExecutionStatus = 'Running' and ${PROBLEMS}`, limit);
      return found.map(({ conversation }) => conversation);
    },
    failedSince: async (since, limit) => {
      const after = new Date(since).toISOString();
      const { found } = await list(`${ours} and ExecutionStatus = 'Failed' and CloseTime > '${after}'`, limit);
      return found;
    },
    sample: async (from, size) => {
      const token = from === '' ? undefined : Buffer.from(from, 'base64');
      const { found, next } = await list(`${ours} and ExecutionStatus = 'Running'`, size, token);
      return {
        conversations: found.map(({ conversation }) => conversation),
        next: Buffer.from(next).toString('base64'),
      };
    },
    belief: async (conversation) => {
      try {
        const facts = (await within(STATE_MS, () => askState(client, conversation)))?.facts;
        return facts?.found === true ? { epoch: facts.epoch, lastSeq: facts.lastSeq } : undefined;
      } catch {
        return undefined;
      }
    },
    runOf: async (conversation) => {
      try {
        const handle = client.workflow.getHandle(conversationWorkflowId(conversation));
        const { status: found, runId, raw } = await within(CALL_MS, () => handle.describe());
        if (found.name !== 'RUNNING') return undefined;
        return { runId, attempts: raw.pendingWorkflowTask?.attempt ?? 0 };
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return undefined;
        throw error;
      }
    },
    // An update without operations: a run that lives refuses it as malformed, and nothing is written.
    answers: async (conversation, runId, patienceMs) => {
      const handle = client.workflow.getHandle(conversationWorkflowId(conversation), runId);
      try {
        const args: [{ operations: []; requests: [] }] = [{ operations: [], requests: [] }];
        await within(patienceMs, () => handle.executeUpdate(sendMessages, { args }));
        return 'yes';
      } catch (error) {
        if (error instanceof WorkflowUpdateFailedError) return 'yes';
        if (error instanceof WorkflowNotFoundError) return 'ended';
        if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) return 'no';
        const cause = error instanceof ServiceError ? error.cause : error;
        if (isGrpcServiceError(cause) && cause.code === status.FAILED_PRECONDITION) return 'refused';
        // Temporal itself does not answer, or has too much to do: that says nothing about this run.
        throw error;
      }
    },
    workersAnswer: makeProbe(deps),
    replace: async (conversation, runId, reason) => {
      if (runId !== undefined) await workflows.terminate(conversation, runId, reason);
      await workflows.start(conversation);
    },
  };
}

/** Probes have workflows too, whose names are not those of conversations. */
function conversationOf(workflowId: string): string | undefined {
  const conversation = workflowId.startsWith(PREFIX) ? workflowId.slice(PREFIX.length) : '~';
  return conversation.startsWith('~') ? undefined : conversation;
}
