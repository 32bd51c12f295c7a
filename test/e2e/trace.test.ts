import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../../process/package-root.ts';
import { spanIdOf, traceIdOf } from '../../process/trace-ids.ts';
import { conversationWorkflowId } from '../../workflows/conversation/messages.ts';
import { type CollectedSpan, type Collector, startCollector } from '../../tools/harness/collector.ts';
import { historyToText } from '../../tools/histories/format.ts';
import { createOpaque, newMessage } from '../../tools/harness/opaque.ts';
import type { Service } from '../../tools/harness/service.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useDatabase } from '../harness/database.ts';
import { useFolder } from '../harness/folder.ts';
import { startTestService } from '../harness/service.ts';

const database = useDatabase();
const folder = useFolder();
const env = { CONVERSATION_PATH: 'workflow' };
let collector: Collector;
let traced: Service;
let untraced: Service;

beforeAll(async () => {
  collector = await startCollector();
  const tracing = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_BSP_SCHEDULE_DELAY: '100' };
  [traced, untraced] = await Promise.all([
    startTestService(database().url, { apis: 1, workers: 1, env: { ...env, ...tracing } }),
    startTestService(database().url, { apis: 1, workers: 1, env }),
  ]);
});

afterAll(async () => {
  await Promise.all([traced.stop(), untraced.stop()]);
  await collector.close();
});

/** @returns the headers of the answer */
async function send(
  service: Service,
  conversation: string,
  headers: Readonly<Record<string, string>>,
): Promise<Headers> {
  const response = await fetch(`${service.urls()[0]}/v1/conversations/${conversation}/messages`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await service.token('alice')}`,
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify(newMessage()),
  });
  expect(response.status).toBe(200);
  return response.headers;
}

test('one trace has a request from HTTP over queue, update and activity to SQL, in the trace of its caller too', async () => {
  const conversation = await createOpaque(traced.clientOf('alice'), ['bob']);
  const [callersTrace, callersSpan] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  const traceparent = `00-${callersTrace}-${callersSpan}-01`;
  const given = `ticket-${callersSpan}`;
  const answer = await send(traced, conversation, { traceparent, 'x-request-id': given });
  expect(answer.get('x-request-id')).toBe(given);

  const callers = (): CollectedSpan | undefined => collector.spans.find(({ traceId }) => traceId === callersTrace);
  await waitUntil(() => callers() !== undefined, { what: 'the caller has a span' });
  expect(callers()).toMatchObject({ parentSpanId: callersSpan, name: 'POST /v1/conversations/{id}/messages' });
  const [own] = callers()?.links ?? [];
  const trace = (): CollectedSpan[] => collector.spans.filter(({ traceId }) => traceId === own?.traceId);
  await waitUntil(() => trace().length === 5, { what: 'the whole trace is there' });
  const names = new Map(trace().map(({ spanId, name }) => [spanId, name]));
  const tree = trace().map(({ name, parentSpanId = '', part }) => [
    part,
    name,
    names.get(parentSpanId) ?? parentSpanId,
  ]);
  expect(tree.sort()).toEqual([
    ['api', 'POST /v1/conversations/{id}/messages', ''],
    ['api', 'queue', 'POST /v1/conversations/{id}/messages'],
    ['api', 'update', 'POST /v1/conversations/{id}/messages'],
    ['worker', 'activity', 'update'],
    ['worker', 'sql of activity', 'activity'],
  ]);
  expect(trace().find(({ parentSpanId = '' }) => parentSpanId === '')?.links).toMatchObject([
    { traceId: callersTrace },
  ]);
  expect(JSON.stringify(trace())).not.toContain('alice');
});

test('histories are the same with tracing and without it, and hold no header and nothing of the caller', async () => {
  const trace = randomBytes(16).toString('hex');
  const headers = { traceparent: `00-${trace}-${randomBytes(8).toString('hex')}-01` };
  const histories: unknown[] = [];
  for (const service of [traced, untraced]) {
    const id = await createOpaque(service.clientOf('alice'), ['bob']);
    for (let i = 0; i < 3; i++) await send(service, id, headers);
    await service.clientOf('alice').addMembers(id, ['carol']);
    const text = await settledHistory(service, id);
    expect(text).not.toContain(trace);
    expect(text).not.toMatch(/"fields": \{[^}]/);
    histories.push(normalized(JSON.parse(text), id));
  }
  expect(histories[0]).toEqual(histories[1]);
});

test('one grep follows a request through all processes, as the docs say', async () => {
  const conversation = await createOpaque(traced.clientOf('alice'), ['bob']);
  const id = (await send(traced, conversation, {})).get('x-request-id') ?? '';
  const page = readFileSync(path.join(packageRoot(), 'docs', 'how-to', 'trace.md'), 'utf8');
  const [, command = ''] = /^```sh\n(grep -h "\$ID".*)\n```$/m.exec(page) ?? [];
  expect(command).not.toBe('');
  const logs = [...traced.apis, ...traced.workers];
  const found = async (): Promise<string[]> => {
    for (const { logFile, name } of logs) copyFileSync(logFile, path.join(folder, `${name}.log`));
    const { stdout } = await promisify(execFile)('sh', ['-c', command.replace('.parley/logs', folder)], {
      env: { ...process.env, ID: id },
    }).catch(() => ({ stdout: '' }));
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { name: string; msg: string })
      .map(({ name, msg }) => `${name}: ${msg}`)
      .sort();
  };
  await waitUntil(async () => (await found()).length === 3, { what: 'all lines are written' });
  expect(await found()).toEqual(['api: batch decided', 'api: request', 'worker: batch applied']);
  // The id of the trace is the id of the request.
  await waitUntil(() => collector.spans.some(({ traceId }) => traceId === traceIdOf(id)), {
    what: 'its trace is there',
  });
  expect(spanIdOf(id, 'request')).toMatch(/^[0-9a-f]{16}$/);
});

/**
 * Temporal shows the task of an update that is still on its way at the end of a history, and forgets it when the update is refused.
 * The supervisor asks runs with such updates, at any moment.
 */
async function settledHistory(service: Service, id: string): Promise<string> {
  const handle = service.temporal.workflow.getHandle(conversationWorkflowId(id));
  let history = await handle.fetchHistory();
  await waitUntil(
    async () => {
      history = await handle.fetchHistory();
      const last = history.events?.at(-1);
      return !last?.workflowTaskScheduledEventAttributes && !last?.workflowTaskStartedEventAttributes;
    },
    { what: 'no update is on its way' },
  );
  return historyToText(history);
}

/**
 * Without what differs between any two runs: ids, times, names.
 * @param id of the conversation: one in forty has no digit, and looks like a word
 */
function normalized(value: unknown, id: string): unknown {
  if (typeof value === 'string') return value === id ? 'id' : plain(value);
  if (Array.isArray(value)) return value.map((one) => normalized(one, id));
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key,
      // Temporal names a task by what made it, which depends on the moment.
      key === 'requestId' ? 'id' : key === 'data' && typeof one === 'string' ? payload(one, id) : normalized(one, id),
    ]),
  );
}

function payload(base64: string, id: string): unknown {
  const text = Buffer.from(base64, 'base64').toString();
  try {
    return normalized(JSON.parse(text), id);
  } catch {
    return 'bytes';
  }
}

/** Words stay, ids and numbers do not. */
function plain(text: string): string {
  return /^[A-Za-z_][A-Za-z_ ,:.-]*$/.test(text) ? text : 'id';
}
