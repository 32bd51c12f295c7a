import type { LifeHistory } from '../life-event.ts';
import { counted, durationWords, type Fact, type FactKind, plainWords } from './fact.ts';

type Words = Pick<Fact, 'kind' | 'text'> & Partial<Pick<Fact, 'tone'>>;
type Said = (event: LifeHistory) => Words;

const UPDATES = new Map([
  ['sendMessages', 'messages and read marks'],
  ['addMembers', 'add members'],
  ['removeMember', 'remove a member'],
  ['commit', 'a commit'],
  ['resetUnread', 'read marks'],
  ['administer', 'a rule of the conversation'],
]);
const SIGNALS = new Map([
  ['incrementUnread', 'Somebody added to the unread counts (signal)'],
  ['refresh', 'The workflow was told to look at Postgres: something is new there (signal)'],
  ['shutdown', 'An operator asked the workflow to finish and end (signal)'],
]);
const DECISIONS = new Map([
  ['apply', 'Local activity: one transaction in Postgres decided the batch'],
  ['load', 'Local activity: the workflow read the state of the conversation from Postgres'],
  ['retain', 'Local activity: old bodies and other due work were cleared in Postgres'],
]);

/** Types of failures with which an update ends undecided (workflows/conversation/messages.ts). */
const FAILURES = new Map([
  ['closing', 'the run is ending, and the next run takes it'],
  ['overloaded', 'the mailbox is full'],
  ['infra', 'Postgres was away'],
  ['defect', 'a try would only fail again'],
  ['malformed', 'the workflow does not understand it'],
]);

const numberOf = ({ facts }: LifeHistory, name: string): number | undefined => {
  const value = new Map(Object.entries(facts)).get(name);
  return typeof value === 'number' ? value : undefined;
};
const textOf = ({ facts }: LifeHistory, name: string): string | undefined => {
  const value = new Map(Object.entries(facts)).get(name);
  return typeof value === 'string' && value !== '' ? value : undefined;
};
const updateName = ({ name = 'update' }: LifeHistory): string => {
  const words = UPDATES.get(name);
  return words === undefined ? name : `${name}: ${words}`;
};
const say =
  (kind: FactKind, text: string, tone: Fact['tone'] = 'plain'): Said =>
  () => ({ kind, text, tone });
const withMessage =
  (kind: FactKind, text: string, tone: Fact['tone']): Said =>
  (event) => {
    const more = textOf(event, 'reason') ?? textOf(event, 'cause') ?? textOf(event, 'failure');
    return { kind, text: more === undefined ? text : `${text}: ${more}`, tone };
  };

/** A sentence for each kind of event that the stream names (api/schemas/life.ts). */
const SENTENCES = new Map<string, Said>([
  [
    'started',
    (event) => ({
      kind: 'workflow',
      text:
        textOf(event, 'continuedFrom') === undefined
          ? 'A run of the workflow began: it reads its state from Postgres'
          : 'A new run goes on where the old one stopped, with a short history',
    }),
  ],
  [
    'updateAccepted',
    (event) => ({
      kind: 'workflow',
      text: `The API gave the workflow ${counted(numberOf(event, 'operations') ?? 1, 'operation')} at once (update ${updateName(event)})`,
    }),
  ],
  [
    'updateCompleted',
    (event) => {
      const failure = textOf(event, 'failure');
      if (failure === undefined) return { kind: 'workflow', text: 'The workflow answered an update: it is decided' };
      const words = FAILURES.get(failure) ?? failure;
      return { kind: 'workflow', text: `The workflow gave an update back undecided: ${words}`, tone: 'warning' };
    },
  ],
  ['updateRejected', withMessage('workflow', 'The workflow refused an update before it was accepted', 'warning')],
  ['updateAdmitted', say('workflow', 'Temporal has an update for the workflow')],
  [
    'localActivity',
    (event) => {
      const { name = '', facts } = event;
      if (facts.failed === true)
        return { kind: 'decision', text: `Local activity ${name} failed: Postgres gave no decision`, tone: 'warning' };
      const words = DECISIONS.get(name) ?? `Local activity ${name} ran in the worker`;
      const attempt = numberOf(event, 'attempt') ?? 1;
      return { kind: 'decision', text: attempt > 1 ? `${words}, at try ${attempt}` : words };
    },
  ],
  ['patch', ({ name = '' }) => ({ kind: 'task', text: `The run noted which version of the code it follows: ${name}` })],
  [
    'signal',
    ({ name = '' }) => ({ kind: 'workflow', text: SIGNALS.get(name) ?? `The workflow got the signal ${name}` }),
  ],
  [
    'timerStarted',
    (event) => {
      const ms = numberOf(event, 'ms');
      const summary = event.name;
      const length = ms === undefined ? 'A timer' : `Timer ${durationWords(ms)}`;
      return { kind: 'timer', text: `${length} started${summary === undefined ? '' : `: ${summary}`}` };
    },
  ],
  ['timerFired', say('timer', 'A timer rang: the workflow looks at what is due')],
  ['timerCanceled', say('timer', 'A timer was cancelled')],
  ['workflowTaskScheduled', say('task', 'There is something to do: Temporal looks for a worker')],
  ['workflowTaskStarted', say('task', 'A worker took the workflow’s next step')],
  ['workflowTaskCompleted', say('task', 'The worker finished this step')],
  ['workflowTaskFailed', withMessage('workflow', 'A step of the workflow failed; Temporal tries it again', 'bad')],
  [
    'workflowTaskTimedOut',
    say('workflow', 'A worker did not finish its step in time: the step goes to a worker that answers', 'warning'),
  ],
  ['continuedAsNew', say('workflow', 'The workflow continued as new: its history is short again')],
  ['completed', say('workflow', 'The run ended, as nothing was left to do. The next operation starts a new one')],
  ['failed', withMessage('workflow', 'The run failed. The next operation starts a new one from Postgres', 'bad')],
  ['timedOut', say('workflow', 'The run took too long. The next operation starts a new one from Postgres', 'bad')],
  [
    'terminated',
    withMessage('workflow', 'The run was terminated. The next operation starts a new one from Postgres', 'bad'),
  ],
  ['cancelRequested', say('workflow', 'Somebody asked the workflow to cancel')],
  ['canceled', say('workflow', 'The run was cancelled. The next operation starts a new one', 'warning')],
  ['searchAttributes', say('workflow', 'The workflow wrote down for operators what can be searched for')],
  ['marker', say('task', 'The run noted something for itself')],
]);

/** The kinds of history events that have a sentence of their own. */
export const KNOWN_HISTORY_KINDS: readonly string[] = [...SENTENCES.keys()];

/** An event of the workflow's history in words. What Temporal adds later has its own name, as words. */
export function historyFact(event: LifeHistory): Fact {
  const { at, runId, eventId, kind, name, facts } = event;
  const said = SENTENCES.get(kind) ?? say('workflow', `In the history: ${plainWords(kind)}`);
  const { tone = 'plain', ...words } = said(event);
  return {
    key: `history:${runId}:${eventId}`,
    at,
    tone,
    ...words,
    details: [
      ['Event', `${eventId}, ${kind}`],
      ...(name === undefined ? [] : [['Name', name] as const]),
      ...Object.entries(facts).map(([key, value]) => [plainWords(key), String(value)] as const),
      ['Run', runId],
    ],
  };
}
