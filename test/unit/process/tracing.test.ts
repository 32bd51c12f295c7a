import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeTracing } from '../../../process/open-telemetry.ts';
import { loadConfig } from '../../../process/config.ts';
import { startTracing } from '../../../process/start-tracing.ts';
import { spanIdOf, traceIdOf } from '../../../process/trace-ids.ts';
import type { StepSpan } from '../../../process/tracing.ts';
import { type Collector, startCollector } from '../../../tools/harness/collector.ts';

const [FIRST, SECOND, THIRD] = ['a', 'b', 'c'].map(
  (digit) => `${digit.repeat(8)}-1111-4111-8111-${digit.repeat(12)}`,
) as [string, string, string];
const step: StepSpan = {
  step: 'update',
  correlationIds: [FIRST, SECOND, THIRD],
  from: 1000.5,
  until: 2000,
  attributes: {},
};

let collector: Collector;

beforeEach(async () => {
  collector = await startCollector();
});

afterEach(() => collector.close());

const tracingOf = (ratio: number): ReturnType<typeof makeTracing> =>
  makeTracing({ endpoint: collector.endpoint, serviceName: 'test', ratio, part: 'api' });

test('a batch belongs to its first request and is linked with the others, whose spans every process can name', async () => {
  const tracing = tracingOf(1);
  tracing.step(step);
  for (const correlationId of [FIRST, SECOND, THIRD]) {
    tracing.request({ correlationId, name: 'POST', traceparent: undefined, from: 1000, until: 2000, attributes: {} });
  }
  await tracing.close();
  const [update, ...requests] = collector.spans;
  expect(update).toMatchObject({
    traceId: traceIdOf(FIRST),
    spanId: spanIdOf(FIRST, 'update'),
    parentSpanId: spanIdOf(FIRST, 'request'),
    startTimeUnixNano: '1000500000',
    endTimeUnixNano: '2000000000',
  });
  const idsOf = (spans: readonly { traceId: string; spanId: string }[] = []): unknown =>
    spans.map(({ traceId, spanId }) => ({ traceId, spanId }));
  expect(idsOf(update?.links)).toEqual(idsOf(requests.slice(1)));
  expect(requests.map(({ traceId }) => traceId)).toEqual([FIRST, SECOND, THIRD].map((id) => id.replaceAll('-', '')));
});

test('a caller that is not sampled gets no span in its trace, and one that is malformed counts as none', async () => {
  const tracing = tracingOf(1);
  for (const traceparent of [`00-${'1'.repeat(32)}-${'2'.repeat(16)}-00`, 'nonsense']) {
    tracing.request({ correlationId: FIRST, name: 'GET', traceparent, from: 1, until: 2, attributes: {} });
  }
  await tracing.close();
  expect(new Set(collector.spans.map(({ traceId }) => traceId))).toEqual(new Set([traceIdOf(FIRST)]));
});

test('the ratio decides by the id of the trace, alike for all steps', async () => {
  const tracing = tracingOf(0);
  tracing.step(step);
  tracing.request({ correlationId: FIRST, name: 'GET', traceparent: undefined, from: 1, until: 2, attributes: {} });
  await tracing.close();
  expect(collector.spans).toEqual([]);
});

test('without an endpoint there is no tracing', async () => {
  const env = { DATABASE_URL: 'postgres://localhost/parley', TEMPORAL_ADDRESS: 'localhost:7233' };
  expect(await startTracing(loadConfig(env, 'worker'), 'worker')).toBeUndefined();
  const on = loadConfig(
    { ...env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_TRACES_SAMPLER_ARG: '0.25' },
    'worker',
  );
  expect(on.tracing).toEqual({ endpoint: collector.endpoint, serviceName: 'parley', ratio: 0.25 });
  await (await startTracing(on, 'worker'))?.close();
});
