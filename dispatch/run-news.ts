import { status as grpc } from '@grpc/grpc-js';
import { type Client, type WorkflowExecutionDescription, WorkflowNotFoundError } from '@temporalio/client';
import { AppError } from '../domain/errors.ts';
import type { LifeEvent, LifeHistory, LifeWorkflow, LookForNews } from '../domain/life-event.ts';
import { conversationWorkflowId } from '../workflows/conversation/messages.ts';
import { historyFact } from './history-fact.ts';

/** Events of one look: of more, the newest. */
const MOST_HISTORY_EVENTS = 50;
/** One look ends within this time. */
const LOOK_MS = 3000;

export interface RunNewsDeps {
  readonly client: Client;
  /** Address of the Temporal Web UI, without a slash at its end. */
  readonly uiUrl: string | undefined;
}

/** What is known of the newest run. */
interface KnownRun {
  readonly runId: string;
  /** The last event that was told. */
  eventId: number;
  readonly continuedFrom: string | undefined;
}

/**
 * Follows the newest run of a conversation, whichever that is: a run that continues, or that somebody terminates or resets, has a
 * successor. It only reads, so that no look starts a run, and no worker is asked. A look costs one short call, a second one when
 * something happened.
 */
export function makeRunNews({ client, uiUrl }: RunNewsDeps): (conversation: string) => LookForNews {
  const { namespace } = client.options;

  return (conversation) => {
    const workflowId = conversationWorkflowId(conversation);
    const page =
      uiUrl === undefined ? undefined : `${uiUrl}/namespaces/${namespace}/workflows/${encodeURIComponent(workflowId)}`;
    let known: KnownRun | undefined;
    let told: string | undefined;

    const describe = async (): Promise<WorkflowExecutionDescription | undefined> => {
      try {
        return await client.workflow.getHandle(workflowId).describe();
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return undefined;
        throw error;
      }
    };
    /** The newest events after one, the oldest first. A page is so many stored batches, each of one event or more. */
    const eventsAfter = async (runId: string, eventId: number): Promise<LifeHistory[]> => {
      const { history } = await client.workflowService.getWorkflowExecutionHistoryReverse({
        namespace,
        execution: { workflowId, runId },
        maximumPageSize: MOST_HISTORY_EVENTS,
      });
      const events = (history?.events ?? []).slice(0, MOST_HISTORY_EVENTS).map((event) => historyFact(runId, event));
      return events.filter((event) => event.eventId > eventId).reverse();
    };
    /** How a run ended that is not the newest any more. */
    const endOf = async ({ runId, eventId }: KnownRun): Promise<LifeHistory[]> => {
      try {
        return await eventsAfter(runId, eventId);
      } catch (error) {
        // The server has forgotten it.
        if (codeOf(error) === grpc.NOT_FOUND) return [];
        throw error;
      }
    };
    const firstLook = async (runId: string): Promise<KnownRun> => {
      const { history } = await client.workflowService.getWorkflowExecutionHistory({
        namespace,
        execution: { workflowId, runId },
        maximumPageSize: 1,
      });
      const started = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
      // Absent texts are empty in the protocol.
      const [continuedFrom] = [started?.continuedExecutionRunId].filter((id) => typeof id === 'string' && id !== '');
      return { runId, eventId: 0, continuedFrom: continuedFrom ?? undefined };
    };
    /** Tells of the run, unless it is as it was. */
    const news = (workflow: Omit<LifeWorkflow, 'at' | 'type'>): LifeEvent[] => {
      const text = JSON.stringify(workflow);
      if (text === told) return [];
      told = text;
      return [{ type: 'workflow', at: Date.now(), ...workflow }];
    };

    const look = async (): Promise<LifeEvent[]> => {
      const found = await describe();
      if (found === undefined) {
        known = undefined;
        return news({ workflowId, status: 'NONE', ...(page === undefined ? {} : { webUi: page }) });
      }
      const { runId, historyLength } = found;
      const ended = known !== undefined && known.runId !== runId ? await endOf(known) : [];
      const run = known?.runId === runId ? known : await firstLook(runId);
      const events = historyLength > run.eventId ? await eventsAfter(runId, run.eventId) : [];
      // Not before all calls have answered: if one fails, the next look reads the same again.
      run.eventId = events.at(-1)?.eventId ?? run.eventId;
      known = run;
      const webUi = page === undefined ? {} : { webUi: `${page}/${runId}/history` };
      return [...ended, ...news({ workflowId, ...runFacts(found, run), ...webUi }), ...events];
    };

    return async () => {
      try {
        return await client.withDeadline(Date.now() + LOOK_MS, look);
      } catch (error) {
        const late = codeOf(error) === grpc.DEADLINE_EXCEEDED;
        throw new AppError(late ? 'deadline' : 'unavailable', 'Temporal does not answer', {}, { cause: error });
      }
    };
  };
}

function runFacts(
  { runId, status, historyLength, historySize, startTime, closeTime, raw }: WorkflowExecutionDescription,
  { continuedFrom }: KnownRun,
): Omit<LifeWorkflow, 'type' | 'at' | 'workflowId'> {
  const attempt = raw.pendingWorkflowTask?.attempt;
  return {
    status: status.name,
    runId,
    historyLength,
    ...(historySize === undefined ? {} : { historyBytes: historySize }),
    startedAt: startTime.getTime(),
    ...(closeTime === undefined ? {} : { closedAt: closeTime.getTime() }),
    ...(continuedFrom === undefined ? {} : { continuedFrom }),
    ...(typeof attempt !== 'number' ? {} : { taskAttempt: attempt }),
  };
}

/** The gRPC status of an error of the client, or of what it wraps. */
function codeOf(error: unknown): number | undefined {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  if (typeof code === 'number') return code;
  return typeof cause === 'object' && cause !== null ? codeOf(cause) : undefined;
}
