import { type Schemas, call } from '../api.ts';
import { type CommandHost, withCommon } from '../command.ts';
import { ago, counted, duration } from '../output/format.ts';
import { pairs, section, sections, table } from '../output/table.ts';
import type { CommonOptions, Look } from '../session.ts';

type Status = Schemas['ServiceStatus'];

/** `parley status` */
export function statusCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('status')
      .summary('the whole service in one screen')
      .description(
        'Shows what is wrong, and what to look at next; then processes, path, queues, Temporal, PostgreSQL and conversations in trouble. The exit code is 1 if there is a problem.',
      ),
    { watch: true },
  ).action((options: CommonOptions) =>
    run(options, (session) =>
      session.look(async () => lookAt(await call(session.api.GET('/v1/admin/status')), session.url)),
    ),
  );
}

/** The state of the service as people read it. */
export function lookAt(status: Status, url: string): Look {
  const problems = status.findings.filter(({ severity }) => severity === 'problem');
  const now = Date.parse(status.at);
  const head = problems.length === 0 ? 'No problem found.' : `${counted(problems.length, 'problem')} found.`;
  const text = sections(
    `Parley ${status.version} at ${url}, ${status.at}. ${head}`,
    section('What to look at', findings(status)),
    section('Processes', processes(status, now)),
    section('Service', facts(status, now)),
    section('Conversations in trouble', troubles(status, now)),
  );
  return { value: status, text, isProblem: problems.length > 0 };
}

function findings({ findings: found }: Status): string {
  if (found.length === 0) return '';
  return table(
    ['', 'code', 'what', 'next'],
    found.map(({ severity, code, text, hint }) => [severity === 'problem' ? '!!' : 'note', code, text, hint]),
  );
}

function processes({ processes: all }: Status, now: number): string {
  if (all.length === 0) return '';
  return table(
    ['process', 'kind', 'state', 'last sign', 'version', 'build', 'started', 'waiting', 'oldest', 'streams', 'path'],
    all.map(({ id, kind, state, silentMs, version, build, startedAt, facts: own }) => [
      id,
      kind,
      state,
      `${duration(silentMs)} ago`,
      version,
      build.slice(0, 12),
      ago(startedAt, now),
      numberOf(own.queueDepth),
      typeof own.oldestWaitMs === 'number' ? duration(own.oldestWaitMs) : undefined,
      numberOf(own.openStreams),
      pathOf(own.path),
    ]),
  );
}

function facts({ checks, path, queue, temporal, database, drain }: Status, now: number): string {
  const { controller } = path;
  const share = `${Math.round(controller.share * 100)} % by workflow`;
  const oldest = database?.oldestTransaction;
  return pairs([
    [
      'checks',
      Object.entries(checks)
        .map(([name, status]) => `${name} ${status}`)
        .join(', '),
    ],
    [
      'path',
      `${path.path} for ${path.rollout} % of the conversations; ${controller.state} since ${ago(controller.since, now)}, ${share}`,
    ],
    ['drain', drain === undefined ? undefined : `drained since ${String(drain.since)} by ${String(drain.by)}`],
    [
      'queues',
      `${queue.depth} waiting, the oldest for ${duration(queue.oldestWaitMs)}; ${counted(queue.activeConversations, 'busy conversation')}`,
    ],
    [
      'diversions',
      Object.entries(queue.diversions)
        .map(([reason, count]) => `${reason} ${count}`)
        .join(', ') || 'none',
    ],
    ['streams', `${queue.openStreams} open`],
    [
      'temporal',
      temporal === undefined
        ? 'does not answer'
        : `${pollers(temporal.pollers)}; ${counted(temporal.running, 'run')}, ${temporal.failed} failed within the last hour`,
    ],
    [
      'postgres',
      database === undefined
        ? 'does not answer'
        : `${database.version}; ${database.connections} of ${database.maxConnections} connections, ${database.waitingForLocks} waiting for locks, ${counted(database.overdue, 'overdue timer')}`,
    ],
    [
      'transaction',
      oldest === undefined
        ? undefined
        : `the oldest is open for ${duration(oldest.ms)}: pid ${oldest.pid}, ${oldest.application}, ${oldest.state}`,
    ],
  ]);
}

function pollers(all: readonly { readonly identity: string; readonly silentMs: number }[]): string {
  const list = all.map(({ identity, silentMs }) => `${identity} ${duration(silentMs)} ago`).join(', ');
  return all.length === 0 ? 'no worker polls' : `${counted(all.length, 'worker polls', 'workers poll')} (${list})`;
}

function troubles({ troubles: { newest, more } }: Status, now: number): string {
  if (newest.length === 0) return '';
  const rows = newest.map(({ conversation, sign, seen, firstAt, lastAt }) => [
    conversation,
    sign,
    seen,
    ago(firstAt, now),
    ago(lastAt, now),
  ]);
  const rest = more ? '\nThere are more: parley conversations --trouble any' : '';
  return table(['conversation', 'sign', 'seen', 'first', 'last'], rows) + rest;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

/** Of a process, perhaps of another release. */
function pathOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('path' in value)) return undefined;
  const { path, rollout, state } = value as { path: unknown; rollout?: unknown; state?: unknown };
  return [path, rollout, state].filter((part) => typeof part === 'string' || typeof part === 'number').join(' ');
}
