import { type Context, type Link, ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type IdGenerator,
  ParentBasedSampler,
  SamplingDecision,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import { spanIdOf, traceIdOf } from './trace-ids.ts';
import { STEPS, type Span, type Tracing } from './tracing.ts';

/** W3C Trace Context: version, trace id, parent id, flags. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;
/** Time for the collector to take a batch. */
const EXPORT_MS = 5000;

/** Gives the SDK the ids that we derive. A span is made in one step, so the ids are those of the span that is being made. */
class DerivedIds implements IdGenerator {
  next = { traceId: '', spanId: '' };
  readonly generateTraceId = (): string => this.next.traceId;
  readonly generateSpanId = (): string => this.next.spanId;
}

/**
 * Sends spans to a collector (OTLP over HTTP). Each request has a trace of its own, whose id is its correlation id. A client that
 * sent `traceparent` also finds a span of the request in its own trace; the two are linked.
 */
export function makeTracing(options: {
  /** Base URL of the collector. */
  readonly endpoint: string;
  readonly serviceName: string;
  /** Part of the requests that is traced, from 0 to 1. Decided by the id of the trace, so all processes decide alike. */
  readonly ratio: number;
  readonly part: string;
}): Tracing {
  const ids = new DerivedIds();
  const byId = new TraceIdRatioBasedSampler(options.ratio);
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      'service.name': options.serviceName,
      'service.instance.id': `${options.part}-${process.pid}`,
      'parley.process': options.part,
    }),
    idGenerator: ids,
    sampler: new ParentBasedSampler({ root: byId }),
    spanProcessors: [
      new BatchSpanProcessor(
        new OTLPTraceExporter({ url: `${options.endpoint.replace(/\/$/, '')}/v1/traces`, timeoutMillis: EXPORT_MS }),
      ),
    ],
  });
  const tracer = provider.getTracer('parley');
  const isTraced = (traceId: string): boolean =>
    byId.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED;

  const make = (
    id: { readonly traceId: string; readonly spanId: string },
    name: string,
    span: Span,
    more: { readonly kind: SpanKind; readonly parent?: Context; readonly links?: readonly Link[] },
  ): void => {
    ids.next = id;
    const made = tracer.startSpan(
      name,
      {
        kind: more.kind,
        startTime: exactTime(span.from),
        attributes: span.attributes,
        links: [...(more.links ?? [])],
      },
      more.parent ?? ROOT_CONTEXT,
    );
    if (span.error !== undefined) made.setStatus({ code: SpanStatusCode.ERROR, message: span.error });
    made.end(exactTime(span.until));
  };

  return {
    request: (span) => {
      const own = requestOf(span.correlationId);
      const caller = callerOf(span.traceparent);
      const callersId = caller && {
        traceId: caller.traceId,
        spanId: spanIdOf(span.correlationId, 'in the trace of the caller'),
      };
      if (caller !== undefined && callersId !== undefined) {
        const links = [linkTo(own.traceId, own.spanId)];
        make(callersId, span.name, span, { kind: SpanKind.SERVER, parent: contextOf(caller), links });
      }
      if (!isTraced(own.traceId)) return;
      const links = callersId === undefined ? [] : [linkTo(callersId.traceId, callersId.spanId)];
      make(own, span.name, span, { kind: SpanKind.SERVER, links });
    },
    step: ({ step, correlationIds, ...span }) => {
      const [first, ...others] = correlationIds;
      if (first === undefined) return;
      const traceId = traceIdOf(first);
      if (!isTraced(traceId)) return;
      const parent = contextOf({ traceId, spanId: spanIdOf(first, STEPS[step]), traceFlags: TraceFlags.SAMPLED });
      const links = others.map((other) => linkTo(traceIdOf(other), requestOf(other).spanId));
      const kind = step.startsWith('sql') ? SpanKind.CLIENT : SpanKind.INTERNAL;
      make({ traceId, spanId: spanIdOf(first, step) }, step, span, { kind, parent, links });
    },
    close: () => provider.shutdown(),
  };
}

/** Seconds and nanoseconds. The SDK would take a small number as a time since the start of the process. */
function exactTime(ms: number): [number, number] {
  const seconds = Math.trunc(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}

function requestOf(correlationId: string): { readonly traceId: string; readonly spanId: string } {
  return { traceId: traceIdOf(correlationId), spanId: spanIdOf(correlationId, 'request') };
}

interface Remote {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceFlags: number;
}

/** The span of the caller; `undefined` = it sent none that is well formed. */
function callerOf(traceparent: string | undefined): Remote | undefined {
  const [, traceId, spanId, flags = '00'] = TRACEPARENT.exec(traceparent ?? '') ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED };
}

function contextOf(remote: Remote): Context {
  return trace.setSpanContext(ROOT_CONTEXT, { ...remote, isRemote: true });
}

function linkTo(traceId: string, spanId: string): Link {
  return { context: { traceId, spanId, traceFlags: TraceFlags.SAMPLED } };
}
