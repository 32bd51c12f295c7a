import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LOCK_PATIENCE_MS } from '../../store/decision/decider.ts';
import { createOpaque, newMessage } from '../../tools/harness/opaque.ts';
import type { ServiceProcess } from '../../tools/harness/processes.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useDatabase } from '../harness/database.ts';
import { holdRows } from '../harness/row-locks.ts';
import { useService } from '../harness/service.ts';

const DEADLINE_MS = 1500;
const database = useDatabase();
const service = useService(
  { apis: 1, workers: 1, env: { REQUEST_DEADLINE_MS: String(DEADLINE_MS), LANE_MAILBOX_LIMIT: '8' } },
  database,
);

interface Line {
  readonly level: string;
  readonly msg: string;
  readonly route?: string;
  readonly status?: number;
  readonly conversation?: string;
  readonly operation?: string;
  readonly operations?: readonly string[];
  readonly path?: string;
  readonly mode?: string;
  readonly waitedFor?: string;
  readonly correlationId?: string;
  readonly correlationIds?: readonly string[];
  readonly user?: string;
}

/** Of the service itself, and of no request. */
const OTHERS = new Set(['conversation path changed', 'sdk log']);

function linesOf(process: ServiceProcess | undefined): Line[] {
  return readFileSync(process?.logFile ?? '', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Line);
}

/** Lines about requests that were not served. */
function failures(): Line[] {
  const all = [...linesOf(service().apis[0]), ...linesOf(service().workers[0])];
  const isProblem = ({ level, status = 0 }: Line): boolean =>
    status >= 500 || ['warn', 'error', 'fatal'].includes(level);
  return all.filter(
    (line) =>
      isProblem(line) && !OTHERS.has(line.msg) && /conversation|correlationId|request/.test(JSON.stringify(line)),
  );
}

test('every line about a failed request names its conversation, its operation, the mode and what it waited for', async () => {
  expect(DEADLINE_MS).toBeLessThan(LOCK_PATIENCE_MS);
  const alice = service().clientOf('alice', { attempts: 1 });
  const [locked, alone, read] = [
    await createOpaque(alice, ['bob']),
    await createOpaque(alice, ['bob']),
    await createOpaque(alice, ['bob']),
  ];
  const sent = new Map<string, { conversation: string; waitedFor: readonly string[]; mode: string }>();
  const fail = async (conversation: string, mode: string, ...waitedFor: string[]): Promise<void> => {
    const message = newMessage();
    sent.set(message.id, { conversation, waitedFor, mode });
    await expect(alice.send(conversation, message)).rejects.toMatchObject({ status: 503 });
  };

  for (const mode of ['direct', 'workflow', 'auto'] as const) {
    await service().setPath(mode);
    const release = await holdRows(database().url, [locked]);
    // Few of one user fill its share of the queue; the last ones find no room. First, because a lock that is known is answered at once.
    if (mode === 'direct')
      await Promise.all(Array.from({ length: 24 }, () => fail(locked, mode, 'postgres-lock', 'queue')));
    await fail(locked, mode, 'postgres-lock');
    await release();
  }

  const session = await database().pool.connect();
  await session.query('begin; lock table parley.entry in access exclusive mode');
  await expect(alice.log(read, { after: 0 })).rejects.toMatchObject({ status: 503 });
  await session.query('rollback');
  session.release();

  await service().setPath('workflow');
  const worker = linesOf(service().workers[0]);
  expect(worker.filter(({ msg }) => msg === 'activity failed').length).toBeGreaterThan(0);
  process.kill(service().workers[0]?.pid ?? 0, 'SIGSTOP');
  try {
    await fail(alone, 'workflow', 'temporal');
  } finally {
    process.kill(service().workers[0]?.pid ?? 0, 'SIGCONT');
  }

  const served = (): number => failures().filter(({ msg }) => msg === 'request').length;
  await waitUntil(() => served() > sent.size, { what: 'all lines are written' });
  for (const line of failures()) {
    const text = JSON.stringify(line);
    expect([locked, alone, read], text).toContain(line.conversation);
    const [operation] = line.operations ?? [line.operation];
    expect(operation, text).toMatch(/^[\w-]{8,}$/);
    expect(line.correlationId ?? line.correlationIds?.[0], text).toMatch(/^[0-9a-f-]{36}$/);
    expect(line.mode ?? line.path, text).toMatch(/^(?:auto|workflow|direct)$/);
    expect(line.path, text).toMatch(/^(?:none|workflow|direct)$/);
    expect(line.user, text).toBeUndefined();
    const expected = sent.get(operation ?? '');
    // A reading request is an operation of its own.
    if (expected === undefined)
      expect(line, text).toMatchObject({ conversation: read, operation: line.correlationId, waitedFor: 'postgres' });
    else {
      expect(line.conversation, text).toBe(expected.conversation);
      expect(expected.waitedFor, text).toContain(line.waitedFor);
      if (line.mode !== undefined) expect(line.mode, text).toBe(expected.mode);
    }
  }
  const named = failures().map(({ waitedFor }) => waitedFor);
  expect(new Set(named)).toEqual(new Set(['postgres-lock', 'queue', 'postgres', 'temporal']));
});
