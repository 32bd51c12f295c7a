import type { LifeEntry, LifeEvent, LifeHead, LifeSupervisor, LifeWorkflow } from '../life-event.ts';
import { type Fact, plainWords, sizeWords } from './fact.ts';
import { historyFact } from './history-words.ts';
import { operationFact } from './operation-words.ts';
import { pathWords } from './reasons.ts';

const PARTS = { temporal: 'Temporal', postgres: 'Postgres' } as const;
const ENTRIES = { application: 'an encrypted message', commit: 'a commit', proposal: 'a proposal' } as const;

/** What was known before an event. */
export interface Before {
  readonly head?: LifeHead | undefined;
  readonly workflow?: LifeWorkflow | undefined;
}

/**
 * An event as a line of the timeline.
 * @returns `undefined`: it changes what the page shows, and is no news by itself
 */
export function factOf(event: LifeEvent, before: Before): Fact | undefined {
  switch (event.type) {
    case 'head':
      return headFact(event, before.head);
    case 'entry':
      return entryFact(event);
    case 'operation':
      return operationFact(event);
    case 'workflow':
      return workflowFact(event, before.workflow);
    case 'history':
      return historyFact(event);
    case 'supervisor':
      return supervisorFact(event);
    case 'trouble': {
      const { at, part, code } = event;
      const meanwhile =
        part === 'temporal' ? 'The API decides by itself until it answers' : 'Operations wait, and clients try again';
      return {
        ...{ key: `trouble:${part}:${at}`, at, kind: 'care', tone: 'bad' },
        text: `${PARTS[part]} does not answer. ${meanwhile}`,
        details: [['Problem', code]],
      };
    }
    case 'recovered':
      return {
        ...{ key: `recovered:${event.part}:${event.at}`, at: event.at, kind: 'care', tone: 'good', details: [] },
        text: `${PARTS[event.part]} answers again`,
      };
    case 'log-restarted': {
      const { at, lastSeq, oldestSeq } = event;
      return {
        ...{ key: `restarted:${at}`, at, kind: 'care', tone: 'bad' },
        text: `The database was restored: the log ends at number ${lastSeq} now. Devices notice it and send again what was lost`,
        details: [['Oldest entry', String(oldestSeq)]],
      };
    }
  }
}

function headFact({ at, path }: LifeHead, before: LifeHead | undefined): Fact | undefined {
  if (before === undefined || before.path.now === path.now) return undefined;
  return {
    ...{ key: `path:${at}`, at, kind: 'care', tone: path.now === 'direct' ? 'warning' : 'good' },
    text: path.now === 'direct' ? pathWords(path.now, path.reason) : 'Operations go through the workflow again',
    details: [['Setting', path.mode]],
  };
}

function entryFact({ at, seq, kind, epoch, bytes, sha256, chain, deleted, sender }: LifeEntry): Fact {
  const size = bytes === undefined ? '' : ` of ${sizeWords(bytes)}`;
  const more = kind === 'commit' ? `. It ended epoch ${epoch}` : '';
  return {
    ...{ key: `entry:${seq}:${sha256}:${deleted ?? ''}`, at, kind: 'log', tone: 'plain' },
    text:
      deleted === undefined
        ? `Number ${seq} of the log: ${ENTRIES[kind]}${size}${more}`
        : `The body of number ${seq} is gone (${deleted === 'deleted' ? 'somebody deleted it' : 'retention'}). Its place, hash and chain stay`,
    details: [
      ['Epoch', String(epoch)],
      ['Sender', sender ?? 'encrypted: the service does not know'],
      ['SHA-256', sha256],
      ...(chain === undefined ? [] : [['Chain', chain] as const]),
    ],
  };
}

/** Only changes of the run or of its status are news. Its history tells the rest. */
function workflowFact(event: LifeWorkflow, before: LifeWorkflow | undefined): Fact | undefined {
  const { at, runId = '', status, workflowId } = event;
  if (before === undefined || (before.runId === event.runId && before.status === status)) return undefined;
  const isOther = before.runId !== event.runId;
  const [text, tone] = statusWords(status, isOther);
  return {
    ...{ key: `run:${runId}:${status}`, at, kind: 'workflow', tone, text },
    details: [['Workflow', workflowId], ...(runId === '' ? [] : [['Run', runId] as const])],
  };
}

function statusWords(status: string, isOther: boolean): readonly [string, Fact['tone']] {
  switch (status) {
    case 'RUNNING':
      return [isOther ? 'A new run of the workflow is at work' : 'The workflow is at work', 'good'];
    case 'TERMINATED':
      return ['The workflow was terminated. The next operation starts it again, and nothing is lost', 'bad'];
    case 'COMPLETED':
      return ['The workflow sleeps: nothing is left to do. The next operation wakes it', 'plain'];
    case 'NONE':
      return ['There is no run of the workflow. The next operation starts one', 'plain'];
    default:
      return [`The run is now: ${plainWords(status)}`, 'plain'];
  }
}

function supervisorFact({ at, action, reason, outcome }: LifeSupervisor): Fact {
  const end = outcome === undefined ? '' : ` (${plainWords(outcome)})`;
  return {
    ...{ key: `supervisor:${at}:${action}:${reason}`, at, kind: 'care', tone: action === 'sees' ? 'warning' : 'bad' },
    text: `${SUPERVISOR.get(action) ?? `Supervisor: ${plainWords(action)}`}: ${SIGNS.get(reason) ?? plainWords(reason)}${end}`,
    details: [
      ['Action', action],
      ['Reason', reason],
    ],
  };
}

const SUPERVISOR = new Map([
  ['sees', 'A sign of trouble was seen'],
  ['restart', 'The supervisor restarted the workflow'],
  ['report', 'The supervisor reports what a restart cannot mend'],
  ['count', 'The supervisor noted what healed by itself'],
  ['give-up', 'The supervisor gave up: too many restarts'],
  ['stop-bucket', 'The supervisor restarts nothing in this part for a while'],
  ['degrade', 'The supervisor restarts nothing any more'],
]);
const SIGNS = new Map([
  ['task-failures', 'steps of the workflow fail again and again'],
  ['timeouts', 'the workflow does not answer, those of others do'],
  ['infrastructure', 'Postgres does not answer the workflow'],
  ['mailbox-full', 'its mailbox is full'],
  ['disagrees', 'the workflow and Postgres disagree'],
  ['overdue', 'what was due is long past'],
  ['blocked', 'a session of the database holds the conversation'],
  ['run-failed', 'its run failed'],
  ['restarts', 'it was restarted too often'],
  ['postgres', 'Postgres was away'],
  ['workers', 'no worker answers'],
  ['drain', 'operators have closed the workflow path'],
]);
