import type { Part, PartName } from '../../control/index.ts';
import type { LifeState } from '../model/life-state.ts';
import { counted, plainWords } from '../words/fact.ts';

/** A place that an operation passes. */
export type StopName = 'client' | 'api' | 'workflow' | 'worker' | 'postgres';

/** What the picture shows of a place. */
export interface Stop {
  readonly name: StopName;
  readonly title: string;
  /** What it does. */
  readonly role: string;
  /** What it is doing now. */
  readonly now: string;
  readonly tone: 'plain' | 'warning' | 'bad';
}

/** What the picture needs to know. */
export interface StopFacts {
  readonly life: LifeState;
  /** Parts of the local stack; empty: nobody tells. */
  readonly parts: readonly Part[];
  readonly isCut: boolean;
}

/** The places, in the order of the way through the workflow. */
export function stopsOf({ life, parts, isCut }: StopFacts): Record<StopName, Stop> {
  const { head, connection } = life;
  const waiting = head?.mailbox.waiting ?? 0;
  const inFlight = head?.mailbox.inFlight ?? 0;
  const api = troubleOf(parts, 'api') ?? (connection.kind === 'away' ? 'does not answer' : undefined);
  const worker = troubleOf(parts, 'worker');
  const postgres = troubleOf(parts, 'postgres') ?? (isAway(life, 'postgres') ? 'does not answer' : undefined);
  const log = head === undefined ? '' : `${counted(head.lastSeq, 'entry', 'entries')}, epoch ${head.epoch}`;
  return {
    client: {
      ...{ name: 'client', title: 'Windows', role: 'encrypt and decrypt' },
      ...(isCut ? broken('network cut') : fine('only they have the keys')),
    },
    api: {
      ...{ name: 'api', title: 'API', role: 'queues' },
      ...(api === undefined ? fine(waiting === 0 ? 'nothing waits' : `${waiting} wait`) : broken(api)),
    },
    workflow: { name: 'workflow', title: 'Workflow', role: 'puts in order', ...workflowNow(life, parts, inFlight) },
    worker: {
      ...{ name: 'worker', title: 'Worker', role: 'local activity' },
      ...(worker === undefined ? fine('decides batches') : broken(worker)),
    },
    postgres: {
      ...{ name: 'postgres', title: 'Postgres', role: 'one transaction decides' },
      ...(postgres === undefined ? fine(log) : broken(postgres)),
    },
  };
}

function workflowNow(life: LifeState, parts: readonly Part[], inFlight: number): Pick<Stop, 'now' | 'tone'> {
  const temporal = troubleOf(parts, 'temporal') ?? (isAway(life, 'temporal') ? 'does not answer' : undefined);
  if (temporal !== undefined) return broken(`Temporal ${temporal}`);
  const { status, taskAttempt = 1 } = life.workflow ?? {};
  if (status === undefined) return fine('');
  if (status === 'RUNNING') {
    if (taskAttempt > 1) return { now: `try ${taskAttempt} of its step`, tone: 'warning' };
    return fine(inFlight === 0 ? 'waits for work' : `${inFlight} in its mailbox`);
  }
  if (status === 'TERMINATED' || status === 'FAILED' || status === 'TIMED_OUT')
    return { now: `${plainWords(status)}; starts again`, tone: 'warning' };
  return fine('sleeps until needed');
}

const fine = (now: string): Pick<Stop, 'now' | 'tone'> => ({ now, tone: 'plain' });
const broken = (now: string): Pick<Stop, 'now' | 'tone'> => ({ now, tone: 'bad' });
const isAway = ({ troubles }: LifeState, part: 'temporal' | 'postgres'): boolean =>
  troubles.some((trouble) => trouble.part === part);

function troubleOf(parts: readonly Part[], name: PartName): string | undefined {
  const state = parts.find((part) => part.name === name)?.state;
  if (state === 'down') return 'is down';
  return state === 'paused' ? 'is stopped' : undefined;
}

/** The places that an operation passed. */
export function wayOf(path: 'workflow' | 'direct' | undefined): readonly StopName[] {
  if (path === undefined) return ['client', 'api'];
  return path === 'direct' ? ['client', 'api', 'postgres'] : ['client', 'api', 'workflow', 'worker', 'postgres'];
}
