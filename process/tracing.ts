/** Steps of a request, each a span below the one that it names. */
export const STEPS = {
  /** In the queue of the conversation. */
  queue: 'request',
  /** The update of the workflow, until its answer. */
  update: 'request',
  /** Decided by the API process itself. */
  direct: 'request',
  /** The activity of the worker. */
  activity: 'update',
  /** The deciding call, with its wait for a connection and for the lock. */
  'sql of activity': 'activity',
  'sql of direct': 'direct',
} as const;
export type Step = keyof typeof STEPS;

export type SpanAttributes = Readonly<Record<string, string | number>>;

/** What took place, told when it is over. Times in milliseconds since 1970. No user and no byte of a request is in a span. */
export interface Span {
  readonly from: number;
  readonly until: number;
  readonly attributes: SpanAttributes;
  /** Absent = it went well. */
  readonly error?: string | undefined;
}

export interface RequestSpan extends Span {
  /** The service's own id of the request. */
  readonly correlationId: string;
  /** Method and path template. */
  readonly name: string;
  /** As the client sent it. */
  readonly traceparent: string | undefined;
}

export interface StepSpan extends Span {
  readonly step: Step;
  /** Of the requests that the step serves. It belongs to the first one, and is linked with the others. */
  readonly correlationIds: readonly string[];
}

/** Takes spans. Absent wherever tracing is off. */
export interface Tracing {
  readonly request: (span: RequestSpan) => void;
  readonly step: (span: StepSpan) => void;
  /** Sends what waits. */
  readonly close: () => Promise<void>;
}

/** Now, in milliseconds since 1970, as exactly as the process can tell. */
export function traceNow(): number {
  return performance.timeOrigin + performance.now();
}
