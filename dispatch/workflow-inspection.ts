import { type Client, type WorkflowHandle, WorkflowNotFoundError } from '@temporalio/client';
import type { ConversationId } from '../domain/ids.ts';
import { own } from '../domain/own.ts';
import { type ConversationState, conversationWorkflowId } from '../workflows/conversation/messages.ts';

import { type PlainHistory, historyToPlain } from './history-json.ts';
import { askState } from './run-state.ts';

/** The newest run of a conversation, as Temporal knows it. */
export interface RunFacts {
  readonly runId: string;
  /** `RUNNING`, `COMPLETED`, `FAILED` and so on. */
  readonly status: string;
  readonly startedAt: Date;
  /** Events. */
  readonly historyLength: number;
  /** Bytes; absent = the server does not say. */
  readonly historyBytes?: number;
  /** The workflow task that is tried now. Above 1: its tries failed or timed out. Absent = none waits. */
  readonly taskAttempt?: number;
  /** The newest failure in the end of the history. */
  readonly lastFailure?: { readonly at: Date; readonly event: string; readonly message: string };
}

/** A part of a history. */
export interface HistoryPage {
  readonly runId: string;
  /** Events as plain JSON. */
  readonly events: readonly PlainHistory[];
  /** Opaque text of the server; absent = the last part. */
  readonly next?: string;
}

/** What operators see of runs. Every call ends by its deadline. Errors are those of the Temporal client. */
export interface WorkflowInspection {
  /** @returns `undefined` when there never was a run, or the server has forgotten it */
  readonly run: (conversation: ConversationId, deadline: number) => Promise<RunFacts | undefined>;
  /** What the run itself says. It takes a worker that answers. `undefined`: one of an earlier release does not say it. */
  readonly state: (conversation: ConversationId, deadline: number) => Promise<ConversationState | undefined>;
  /** @param page run id and `next` of the page before; absent = the start of the newest run. `undefined`: there is no run */
  readonly history: (
    conversation: ConversationId,
    page: { readonly runId: string; readonly next: string } | undefined,
    deadline: number,
  ) => Promise<HistoryPage | undefined>;
}

/** Events in which a failure of a workflow task or of the run stands. */
const FAILURES = new Map([
  ['EVENT_TYPE_WORKFLOW_TASK_FAILED', 'workflowTaskFailedEventAttributes'],
  ['EVENT_TYPE_WORKFLOW_EXECUTION_FAILED', 'workflowExecutionFailedEventAttributes'],
]);
/** Events at the end of a history in which a failure is looked for. */
const LAST_EVENTS = 20;
/** Events of one page. Those of a conversation have about 500 bytes. */
const PAGE_EVENTS = 500;

export function makeWorkflowInspection(client: Client): WorkflowInspection {
  const { namespace } = client.options;
  const handleOf = (conversation: string): WorkflowHandle =>
    client.workflow.getHandle(conversationWorkflowId(conversation));

  const lastFailure = async (conversation: string, runId: string): Promise<RunFacts['lastFailure']> => {
    const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
      namespace,
      execution: { workflowId: conversationWorkflowId(conversation), runId },
      maximumPageSize: LAST_EVENTS,
    });
    const events = (historyToPlain(history ?? {}).events ?? []) as readonly PlainHistory[];
    for (const event of events) {
      const attributes = FAILURES.get(String(event.eventType));
      if (attributes === undefined) continue;
      const { cause, failure } = (own(event, attributes) ?? {}) as { cause?: string; failure?: { message?: string } };
      const message = [cause, failure?.message].filter((part) => part !== undefined && part !== '').join(': ');
      return { at: new Date(timeOf(event.eventTime)), event: String(event.eventType), message };
    }
    return undefined;
  };

  return {
    run: (conversation, deadline) =>
      client.withDeadline(deadline, async () => {
        try {
          const found = await handleOf(conversation).describe();
          const attempt = found.raw.pendingWorkflowTask?.attempt;
          const failure = await lastFailure(conversation, found.runId);
          return {
            runId: found.runId,
            status: found.status.name,
            startedAt: found.startTime,
            historyLength: found.historyLength,
            ...(found.historySize === undefined ? {} : { historyBytes: found.historySize }),
            ...(attempt === undefined || attempt === null ? {} : { taskAttempt: attempt }),
            ...(failure === undefined ? {} : { lastFailure: failure }),
          };
        } catch (error) {
          if (error instanceof WorkflowNotFoundError) return undefined;
          throw error;
        }
      }),
    state: (conversation, deadline) => client.withDeadline(deadline, () => askState(client, conversation)),
    history: (conversation, page, deadline) =>
      client.withDeadline(deadline, async () => {
        const runId = page?.runId ?? (await runIdOf(handleOf(conversation)));
        if (runId === undefined) return undefined;
        const { history, nextPageToken } = await client.workflowService.getWorkflowExecutionHistory({
          namespace,
          execution: { workflowId: conversationWorkflowId(conversation), runId },
          maximumPageSize: PAGE_EVENTS,
          ...(page === undefined ? {} : { nextPageToken: Buffer.from(page.next, 'base64url') }),
        });
        const { events = [] } = historyToPlain(history ?? {}) as { events?: readonly PlainHistory[] };
        const next = nextPageToken.length === 0 ? {} : { next: Buffer.from(nextPageToken).toString('base64url') };
        return { runId, events, ...next };
      }),
  };
}

async function runIdOf(handle: WorkflowHandle): Promise<string | undefined> {
  try {
    return (await handle.describe()).runId;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}

/** Milliseconds since 1970 of a protobuf timestamp in plain JSON. */
function timeOf(value: unknown): number {
  const { seconds, nanos } = (value ?? {}) as { seconds?: string; nanos?: number };
  return Number(seconds ?? 0) * 1000 + Math.floor((nanos ?? 0) / 1e6);
}
