import type { AutoReport } from '../../dispatch/auto/auto-report.ts';
import type { PathSetting } from '../../dispatch/path-switch.ts';
import type { HealthReport } from './health-checks.ts';
import type { ServiceFacts } from './service-status.ts';

/** Something that an operator should know. */
export interface Finding {
  readonly code: string;
  /** `problem`: somebody has to do something. `note`: it may be meant so. */
  readonly severity: 'problem' | 'note';
  readonly text: string;
  readonly hint?: string;
}

export interface FindingInput {
  readonly facts: ServiceFacts;
  readonly health: HealthReport;
  readonly path: PathSetting;
  readonly controller: AutoReport;
}

/** The server keeps pollers for five minutes; a worker polls again at least every minute. */
const POLLED_WITHIN_MS = 75_000;
/** Longer than any operation waits while all is well. */
const LONG_WAIT_MS = 3000;
/** No transaction of the service takes as long. */
const LONG_TRANSACTION_MS = 10_000;
const CONNECTIONS_SHARE = 0.8;
const CLOCK_SKEW_MS = 5000;
/** A worker that runs for so long has started the supervisor, if Temporal answers. */
const STARTED_MS = 5 * 60_000;
/** Conversations that one text names. */
const NAMED = 3;

/** What is wrong with the service, the worst first. Every text says what was seen, and the hint what to do next. */
export function findingsOf(input: FindingInput): Finding[] {
  const all = [
    ...partFindings(input),
    ...processFindings(input),
    ...conversationFindings(input),
    ...databaseFindings(input),
    ...settingFindings(input),
  ];
  return [
    ...all.filter(({ severity }) => severity === 'problem'),
    ...all.filter(({ severity }) => severity === 'note'),
  ];
}

const problem = (code: string, text: string, hint?: string): Finding => make('problem', code, text, hint);
const note = (code: string, text: string, hint?: string): Finding => make('note', code, text, hint);
function make(severity: Finding['severity'], code: string, text: string, hint?: string): Finding {
  return { code, severity, text, ...(hint === undefined ? {} : { hint }) };
}

function partFindings({ facts, health }: FindingInput): Finding[] {
  const found: Finding[] = [];
  if (facts.database === undefined || health.database.status === 'unhealthy') {
    found.push(problem('database-away', 'PostgreSQL does not answer', 'look at its log and its disk'));
  }
  if (facts.temporal === undefined) {
    found.push(problem('temporal-away', 'Temporal does not answer', 'start it; parley path auto serves without it'));
  } else if (health.temporal.status !== 'healthy' || !polled(facts.temporal.pollers)) {
    const text = health.temporal.reason ?? 'no worker polls the task queue';
    found.push(problem('no-worker', sentence(text), 'start a worker; look at the log of those that ran'));
  }
  for (const [name, { status }] of [
    ['memory', health.memory],
    ['tokens', health.tokens],
    ['queues', health.actors],
  ] as const) {
    if (status !== 'healthy') found.push(problem(`${name}-${status}`, `The check of ${name} says ${status}`));
  }
  return found;
}

/** The server keeps a poller that was killed for minutes, so its health comes first: that goes by the signs of workers. */
function polled(pollers: readonly { readonly silentMs: number }[]): boolean {
  return pollers.some(({ silentMs }) => silentMs < POLLED_WITHIN_MS);
}

function processFindings({ facts }: FindingInput): Finding[] {
  const found: Finding[] = [];
  const live = facts.processes.filter(({ state }) => state === 'live');
  for (const { id, kind, state, silentMs } of facts.processes) {
    if (state !== 'silent') continue;
    const text = `${id} says nothing for ${Math.round(silentMs / 1000)} s`;
    if (kind === 'supervisor') found.push(problem('supervisor-silent', text, 'parley supervisor'));
    else found.push(problem('process-silent', text, 'it was killed, stands still, or cannot reach PostgreSQL'));
  }
  if (lacksSupervisor(facts.processes)) {
    const text = 'There is no supervisor: nobody finds or restarts conversations in trouble';
    found.push(problem('supervisor-silent', text, 'parley supervisor'));
  }
  if (live.some(({ kind, facts: own }) => kind === 'supervisor' && own.degraded === true)) {
    found.push(problem('supervisor-degraded', 'The supervisor restarts nothing any more', 'parley supervisor'));
  }
  for (const { id, facts: own } of live) {
    const skew = typeof own.clockSkewMs === 'number' ? own.clockSkewMs : 0;
    if (Math.abs(skew) < CLOCK_SKEW_MS) continue;
    found.push(
      problem('clock-skew', `The clock of ${id} differs by ${Math.round(skew / 1000)} s`, 'check the NTP of its host'),
    );
  }
  const versions = new Set(live.map(({ version, build }) => `${version} ${build}`.trim()));
  if (versions.size > 1) {
    found.push(
      note('versions-differ', `Processes of ${versions.size} versions run: ${[...versions].sort().join(', ')}`),
    );
  }
  return found;
}

/**
 * Others are replaced by processes with new names, so one that is gone is no news. The supervisor comes back under its own name, or
 * nobody does its work.
 */
function lacksSupervisor(processes: ServiceFacts['processes']): boolean {
  if (processes.some(({ kind, state }) => kind === 'supervisor' && state !== 'gone')) return false;
  return processes.some(
    ({ kind, state, startedAt }) =>
      kind !== 'supervisor' && state === 'live' && Date.now() - startedAt.getTime() > STARTED_MS,
  );
}

function conversationFindings({ facts, controller }: FindingInput): Finding[] {
  const found: Finding[] = [];
  const troubled = [...new Set(facts.troubles.map(({ conversation }) => conversation))];
  if (troubled.length > 0) {
    const signs = [...new Set(facts.troubles.map(({ sign }) => sign))].sort().join(', ');
    const many = `${troubled.length}${facts.moreTroubles ? ' or more' : ''}`;
    const text = `${many} conversations in trouble (${signs}): ${some(troubled)}`;
    found.push(problem('conversations-in-trouble', text, `parley conversation -- ${String(troubled[0])}`));
  }
  const wedged = controller.wedged.map(({ conversation }) => conversation);
  if (wedged.length > 0) {
    const text = `${wedged.length} workflows do not answer: ${some(wedged)}`;
    found.push(problem('wedged', text, `parley conversation -- ${String(wedged[0])}`));
  }
  if (facts.queue.oldestWaitMs > LONG_WAIT_MS) {
    const text = `The oldest operation waits for ${Math.round(facts.queue.oldestWaitMs / 1000)} s; ${facts.queue.depth} wait`;
    found.push(problem('long-wait', text, 'parley conversations --trouble any'));
  }
  if ((facts.temporal?.failed ?? 0) > 0) {
    const text = `${String(facts.temporal?.failed)} runs failed within the last hour`;
    found.push(
      problem('runs-failed', text, 'a bad deploy of workers: parley replay -- ID, against the bundle of that release'),
    );
  }
  if ((facts.database?.overdue ?? 0) > 0 && facts.drain === undefined) {
    const text = `${String(facts.database?.overdue)} conversations have a timer that is late by 5 minutes`;
    found.push(problem('overdue', text, 'parley conversations --state due; does the sweep run?'));
  }
  if ((facts.inconsistencies ?? 0) > 0) {
    const text = `The last consistency audit found ${String(facts.inconsistencies)} rows that contradict others`;
    found.push(problem('inconsistent', text, 'parley audit consistency'));
  }
  return found;
}

function databaseFindings({ facts: { database } }: FindingInput): Finding[] {
  if (database === undefined) return [];
  const found: Finding[] = [];
  const {
    oldestTransaction: oldest,
    connections,
    maxConnections,
    waitingForLocks,
    standbys,
    waitsForStandby,
  } = database;
  if (oldest !== null && oldest.ms > LONG_TRANSACTION_MS) {
    const text = `A transaction of "${oldest.application}" (pid ${oldest.pid}, ${oldest.state}) is open for ${Math.round(oldest.ms / 1000)} s`;
    found.push(problem('long-transaction', text, `select pg_terminate_backend(${oldest.pid})`));
  }
  if (connections > maxConnections * CONNECTIONS_SHARE) {
    found.push(problem('connections', `${connections} of ${maxConnections} connections of PostgreSQL are in use`));
  }
  if (standbys > 0 && !waitsForStandby) {
    const text = 'No commit waits for a standby: a failover may lose what was acknowledged last';
    found.push(note('standby-asynchronous', text, 'set synchronous_standby_names: docs/how-to/back-up-and-restore.md'));
  }
  if (waitingForLocks > 0) found.push(note('lock-waits', `${waitingForLocks} sessions of PostgreSQL wait for a lock`));
  return found;
}

function settingFindings({ facts, path, controller }: FindingInput): Finding[] {
  const found: Finding[] = [];
  if (facts.drain !== undefined) {
    const text = `The workflow path is drained since ${facts.drain.since} by ${facts.drain.by}`;
    found.push(note('drained', text, 'parley drain --undo'));
  } else if (path.path !== 'auto' || path.rollout !== 100) {
    found.push(note('path', `The path is ${path.path} for ${path.rollout} % of the conversations`, 'parley path auto'));
  }
  if (path.path === 'auto' && controller.state === 'away') {
    found.push(problem('auto-away', `Temporal does not answer since ${controller.since}: batches go direct`));
  }
  // It does so whenever a workflow would be slower.
  if (path.path === 'auto' && controller.state === 'limited') {
    found.push(note('auto-limited', `Since ${controller.since} the path auto decides a part of the batches directly`));
  }
  return found;
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

function some(names: readonly string[]): string {
  return `${names.slice(0, NAMED).join(', ')}${names.length > NAMED ? ', ..' : ''}`;
}
