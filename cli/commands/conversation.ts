import { type Schemas, call } from '../api.ts';
import { type CommandHost, conversationId, withCommon } from '../command.ts';
import { ago, bytes, counted, duration } from '../output/format.ts';
import { pairs, section, sections, table } from '../output/table.ts';
import type { CommonOptions, Look, Session } from '../session.ts';

type Conversation = Schemas['AdminConversation'];
type AuditEntry = Schemas['AuditList']['entries'][number];

/** Entries of the audit trail that are shown. */
const ACTIONS = 5;
/** A decision holds a row for milliseconds. */
const LONG_LOCK_MS = 1000;

/** `parley conversation ID` */
export function conversationCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('conversation')
      .argument('<id>', 'the conversation', conversationId)
      .summary('everything about one conversation')
      .description(
        'Shows its facts, what waits for a decision, who holds its row in the database, its run, signs of trouble, failures of late, and the last actions of the supervisor and of operators. The exit code is 1 if something is wrong.',
      ),
    { watch: true },
  ).action((id: string, options: CommonOptions) => run(options, (session) => session.look(() => read(session, id))));
}

async function read(session: Session, id: string): Promise<Look> {
  const [conversation, { entries }] = await Promise.all([
    call(session.api.GET('/v1/admin/conversations/{id}', { params: { path: { id } } })),
    call(session.api.GET('/v1/admin/audit', { params: { query: { conversation: id, limit: ACTIONS } } })),
  ]);
  return lookAt(conversation, entries, Date.now());
}

/** A conversation as people read it. */
export function lookAt(conversation: Conversation, actions: readonly AuditEntry[], now: number): Look {
  const problems = problemsOf(conversation);
  const text = sections(
    problems.length === 0 ? 'No problem found.' : problems.map((problem) => `!! ${problem}`).join('\n'),
    section('Conversation', facts(conversation, now)),
    section('Waiting', waiting(conversation)),
    section('Run', run(conversation, now)),
    section('Locks of its row', locks(conversation)),
    section('Signs of trouble', signs(conversation, now)),
    section('Failures of late, in the process that answered', failures(conversation, now)),
    section('Last actions', audited(actions, now)),
  );
  return { value: { ...conversation, actions }, text, isProblem: problems.length > 0 };
}

/** One sentence for each thing that is wrong. */
function problemsOf({ locks: all, run: found, signs: seen, workflow }: Conversation): string[] {
  const holder = all.find(({ holds, transactionMs = 0 }) => holds && transactionMs > LONG_LOCK_MS);
  return [
    ...(holder === undefined
      ? []
      : [
          `A session of the database holds its row for ${duration(holder.transactionMs ?? 0)}: select pg_terminate_backend(${holder.pid})`,
        ]),
    ...(workflow.running === undefined ? ['Temporal does not answer.'] : []),
    ...((found?.taskAttempt ?? 0) > 1
      ? [
          `Its workflow task is tried for the ${String(found?.taskAttempt)}th time: ${found?.lastFailure?.message ?? 'no worker answers'}`,
        ]
      : []),
    ...(found?.status === 'FAILED' ? [`Its last run failed: ${found.lastFailure?.message ?? ''}`] : []),
    ...(found?.status === 'RUNNING' && found.state === undefined ? ['Its run does not answer.'] : []),
    ...(found?.state?.health === 'degraded' ? ['Its run says that the last decision failed.'] : []),
    ...seen.map(({ sign, seen: times }) => `Sign of trouble: ${sign}, seen ${counted(times, 'time')}.`),
  ];
}

function facts(one: Conversation, now: number): string {
  return pairs([
    ['id', one.id],
    ['state', one.successor === undefined ? one.state : `${one.state}, by ${one.successor}`],
    ['protocol', one.protocol],
    ['epoch', one.epoch],
    ['seq', one.oldestSeq > 1 ? `${one.oldestSeq} to ${one.lastSeq}` : `1 to ${one.lastSeq}`],
    ['members', `${one.memberCount}, of them ${counted(one.admins, 'admin')}`],
    ['last entry', ago(one.lastAt, now)],
    ['created', `${one.createdAt} (${ago(one.createdAt, now)})`],
    ['timer', one.dueAt === undefined ? 'nothing is planned' : `due ${ago(one.dueAt, now)}`],
  ]);
}

function waiting({ process: own, staged, oldestStagedMs, increments, run: found }: Conversation): string {
  const age = own.oldestMs === 0 ? '' : `, the oldest for ${duration(own.oldestMs)}`;
  return pairs([
    ['mailbox', `${own.mailbox} waiting, ${own.inFlight} in flight${age} (in the process that answered)`],
    [
      'workflow',
      found?.state === undefined
        ? 'does not say'
        : `${found.state.mailbox} waiting, ${counted(found.state.increments, 'increment')}`,
    ],
    ['staged', oldestStagedMs === undefined ? staged : `${staged}, the oldest for ${duration(oldestStagedMs)}`],
    ['increments', increments],
    ['path', own.path],
    ['streams', `${own.streams} open (in the process that answered)`],
  ]);
}

function run({ run: found, workflow }: Conversation, now: number): string {
  const none = workflow.running === undefined ? 'Temporal does not answer' : 'none; the next operation starts one';
  const state = found?.state;
  const at = state?.asOf === undefined ? '' : `, as of ${ago(state.asOf, now)}`;
  return pairs([
    ['status', found === undefined ? none : `${found.status}, started ${ago(found.startedAt, now)}`],
    [
      'health',
      state === undefined
        ? undefined
        : `${state.health}${state.closing ? ', closing' : ''}; ${counted(state.decided, 'command')} decided`,
    ],
    ['believes', state?.epoch === undefined ? undefined : `epoch ${state.epoch}, seq ${String(state.lastSeq)}${at}`],
    [
      'history',
      found === undefined
        ? undefined
        : `${counted(found.historyLength, 'event')}${found.historyBytes === undefined ? '' : `, ${bytes(found.historyBytes)}`}`,
    ],
    ['task', found?.taskAttempt === undefined ? undefined : `attempt ${found.taskAttempt}`],
    [
      'failure',
      found?.lastFailure === undefined ? undefined : `${ago(found.lastFailure.at, now)}: ${found.lastFailure.message}`,
    ],
    ['run id', found?.runId],
    ['workflow', workflow.id],
    ['page', workflow.url],
  ]);
}

function locks({ locks: all }: Conversation): string {
  if (all.length === 0) return '';
  return table(
    ['pid', 'does', 'application', 'role', 'state', 'transaction'],
    all.map(({ pid, holds, application, role, state, transactionMs }) => [
      pid,
      holds ? 'holds it' : 'waits',
      application,
      role,
      state,
      transactionMs === undefined ? undefined : duration(transactionMs),
    ]),
  );
}

function signs({ signs: all }: Conversation, now: number): string {
  if (all.length === 0) return '';
  return table(
    ['sign', 'seen', 'first', 'last', 'details'],
    all.map(({ sign, seen, firstAt, lastAt, details }) => [
      sign,
      seen,
      ago(firstAt, now),
      ago(lastAt, now),
      JSON.stringify(details),
    ]),
  );
}

function failures({ process: { failures: all } }: Conversation, now: number): string {
  if (all.length === 0) return '';
  return table(
    ['when', 'operation', 'problem', 'waited'],
    all.map(({ at, kind, code, waitedMs }) => [ago(at, now), kind, code, duration(waitedMs)]),
  );
}

function audited(actions: readonly AuditEntry[], now: number): string {
  if (actions.length === 0) return '';
  return table(
    ['when', 'who', 'action', 'details'],
    actions.map(({ at, actor, action, details }) => [ago(at, now), actor, action, JSON.stringify(details)]),
  );
}
