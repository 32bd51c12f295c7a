import proto from '@temporalio/proto';
import type { LifeFacts, LifeHistory } from '../domain/life-event.ts';

const { EventType } = proto.temporal.api.enums.v1;
type HistoryEvent = proto.temporal.api.history.v1.IHistoryEvent;
type Payload = proto.temporal.api.common.v1.IPayload;
type Payloads = proto.temporal.api.common.v1.IPayloads;

/** Texts of others, for example the reason of a termination, are cut after this. */
const LONGEST_TEXT = 200;
/** A larger update is not read to count its operations. */
const MOST_COUNTED_BYTES = 64 * 1024;

type Values = Readonly<Record<string, unknown>>;
interface Fact {
  readonly kind: string;
  readonly name?: string | undefined;
  readonly facts?: Values;
}

/**
 * What operators see of an event of a history. Every field is named here, so that no payload gets out: what a message carries is not
 * among them.
 */
export function historyFact(runId: string, event: HistoryEvent): LifeHistory {
  const { kind, name, facts = {} } = factOf(event);
  return {
    type: 'history',
    at: millis(event.eventTime),
    runId,
    eventId: Number(event.eventId),
    kind,
    ...(name === undefined ? {} : { name: cut(name) }),
    facts: plain(facts),
  };
}

function factOf(event: HistoryEvent): Fact {
  switch (event.eventType) {
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: {
      const { continuedExecutionRunId, attempt } = event.workflowExecutionStartedEventAttributes ?? {};
      return { kind: 'started', facts: { continuedFrom: continuedExecutionRunId, attempt } };
    }
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED: {
      const { meta, input } = event.workflowExecutionUpdateAdmittedEventAttributes?.request ?? {};
      const facts = { updateId: meta?.updateId, operations: countOperations(input?.args) };
      return { kind: 'updateAdmitted', name: input?.name ?? undefined, facts };
    }
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: {
      const { meta, input } = event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest ?? {};
      const facts = { updateId: meta?.updateId, operations: countOperations(input?.args) };
      return { kind: 'updateAccepted', name: input?.name ?? undefined, facts };
    }
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: {
      const { meta, acceptedEventId, outcome } = event.workflowExecutionUpdateCompletedEventAttributes ?? {};
      const failure = outcome?.failure?.applicationFailureInfo?.type ?? (outcome?.failure ? 'failed' : undefined);
      return { kind: 'updateCompleted', facts: { updateId: meta?.updateId, acceptedEventId, failure } };
    }
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_REJECTED:
      return { kind: 'updateRejected' };
    case EventType.EVENT_TYPE_MARKER_RECORDED:
      return markerFact(event);
    case EventType.EVENT_TYPE_TIMER_STARTED: {
      const { timerId, startToFireTimeout } = event.timerStartedEventAttributes ?? {};
      return { kind: 'timerStarted', name: summaryOf(event), facts: { timerId, ms: millis(startToFireTimeout) } };
    }
    case EventType.EVENT_TYPE_TIMER_FIRED:
      return { kind: 'timerFired', facts: { timerId: event.timerFiredEventAttributes?.timerId } };
    case EventType.EVENT_TYPE_TIMER_CANCELED:
      return { kind: 'timerCanceled', facts: { timerId: event.timerCanceledEventAttributes?.timerId } };
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
      return { kind: 'signal', name: event.workflowExecutionSignaledEventAttributes?.signalName ?? undefined };
    case EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
      return { kind: 'workflowTaskScheduled', facts: { attempt: event.workflowTaskScheduledEventAttributes?.attempt } };
    case EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
      return { kind: 'workflowTaskStarted', facts: { worker: event.workflowTaskStartedEventAttributes?.identity } };
    case EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
      return { kind: 'workflowTaskCompleted', facts: { worker: event.workflowTaskCompletedEventAttributes?.identity } };
    case EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: {
      const { timeoutType } = event.workflowTaskTimedOutEventAttributes ?? {};
      const name = proto.temporal.api.enums.v1.TimeoutType[timeoutType ?? 0];
      return { kind: 'workflowTaskTimedOut', facts: { timeout: camelCase(name, 'TIMEOUT_TYPE_') } };
    }
    case EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED: {
      const { cause, baseRunId, identity } = event.workflowTaskFailedEventAttributes ?? {};
      const name = proto.temporal.api.enums.v1.WorkflowTaskFailedCause[cause ?? 0];
      const facts = { cause: camelCase(name, 'WORKFLOW_TASK_FAILED_CAUSE_'), resetFrom: baseRunId, worker: identity };
      return { kind: 'workflowTaskFailed', facts };
    }
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: {
      const { newExecutionRunId } = event.workflowExecutionContinuedAsNewEventAttributes ?? {};
      return { kind: 'continuedAsNew', facts: { newRunId: newExecutionRunId } };
    }
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
      return { kind: 'completed' };
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: {
      const { failure } = event.workflowExecutionFailedEventAttributes ?? {};
      return { kind: 'failed', facts: { failure: failure?.applicationFailureInfo?.type ?? 'failed' } };
    }
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: {
      const { reason, identity } = event.workflowExecutionTerminatedEventAttributes ?? {};
      return { kind: 'terminated', facts: { reason, by: identity } };
    }
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
      return {
        kind: 'cancelRequested',
        facts: { by: event.workflowExecutionCancelRequestedEventAttributes?.identity },
      };
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
      return { kind: 'canceled' };
    case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
      return { kind: 'timedOut' };
    case EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: {
      const fields = event.upsertWorkflowSearchAttributesEventAttributes?.searchAttributes?.indexedFields ?? {};
      return { kind: 'searchAttributes', facts: { attributes: Object.keys(fields).sort().join(', ') } };
    }
    default:
      return { kind: camelCase(EventType[event.eventType ?? 0], 'EVENT_TYPE_') };
  }
}

/** A local activity, or a patch that the run took. */
function markerFact(event: HistoryEvent): Fact {
  const { markerName, details, failure } = event.markerRecordedEventAttributes ?? {};
  if (markerName === 'core_patch') {
    return { kind: 'patch', name: textOf(jsonOf(details?.['patch-data']?.payloads?.[0])?.id) };
  }
  if (markerName !== 'core_local_activity') return { kind: 'marker', name: markerName ?? undefined };
  // What the SDK notes of the activity. Its result is another payload, which nobody looks at.
  const noted = jsonOf(details?.data?.payloads?.[0]);
  const facts = { attempt: noted?.attempt, summary: summaryOf(event), failed: failure ? true : undefined };
  return { kind: 'localActivity', name: textOf(noted?.activity_type), facts };
}

/** How many operations an update carries. Nothing else of it is looked at. */
function countOperations(args: Payloads | null | undefined): number | undefined {
  const operations = jsonOf(args?.payloads?.[0])?.operations;
  return Array.isArray(operations) ? operations.length : undefined;
}

/** What the workflow says that the event is for: one of the fixed texts in its code. */
function summaryOf({ userMetadata }: HistoryEvent): string | undefined {
  return textOf(parse(userMetadata?.summary));
}

function jsonOf(payload: Payload | undefined): Values | undefined {
  const value = parse(payload);
  return typeof value === 'object' && value !== null ? (value as Values) : undefined;
}

function parse(payload: Payload | null | undefined): unknown {
  const data = payload?.data;
  if (!data || data.length > MOST_COUNTED_BYTES) return undefined;
  try {
    return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'));
  } catch {
    // Another data converter wrote it.
    return undefined;
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** Leaves out what is absent. Numbers of the protocol may be objects. */
function plain(facts: Values): LifeFacts {
  const kept = Object.entries(facts).flatMap(([name, value]): [string, string | number | boolean][] => {
    if (value === null || value === undefined || value === '') return [];
    if (typeof value === 'string') return [[name, cut(value)]];
    return [[name, typeof value === 'boolean' ? value : Number(value)]];
  });
  return Object.fromEntries(kept);
}

function cut(text: string): string {
  return text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT)}…`;
}

/** `EVENT_TYPE_ACTIVITY_TASK_STARTED` as `activityTaskStarted`. */
function camelCase(name: string | undefined, prefix: string): string {
  if (name === undefined) return 'unknown';
  const words = name.replace(prefix, '').toLowerCase();
  return words.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Of a time since 1970, or of a duration. */
function millis(value: { seconds?: unknown; nanos?: number | null } | null | undefined): number {
  return Number(value?.seconds ?? 0) * 1000 + Math.floor((value?.nanos ?? 0) / 1e6);
}
