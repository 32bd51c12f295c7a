import type { Part, PartName } from '../../control/index.ts';
import type { LifeState } from '../model/life-state.ts';
import { plainWords } from '../words/fact.ts';

/** A place that an operation passes. */
export type StopName = 'client' | 'api' | 'workflow' | 'worker' | 'postgres';

/** What the picture shows of a place. */
export interface Stop {
  readonly name: StopName;
  readonly title: string;
  /** What it does; or what is the matter with it. */
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
  return {
    client: {
      ...{ name: 'client', title: 'Windows' },
      ...(isCut ? broken('network cut') : fine('hold the keys')),
    },
    api: {
      ...{ name: 'api', title: 'API' },
      ...(api === undefined ? fine(waiting === 0 ? 'takes requests' : `${waiting} wait here`) : broken(api)),
    },
    workflow: { name: 'workflow', title: 'Workflow', ...workflowNow(life, parts, inFlight) },
    worker: { name: 'worker', title: 'Worker', ...(worker === undefined ? fine('local activity') : broken(worker)) },
    postgres: {
      ...{ name: 'postgres', title: 'Postgres' },
      ...(postgres === undefined ? fine('decides') : broken(postgres)),
    },
  };
}

function workflowNow(life: LifeState, parts: readonly Part[], inFlight: number): Pick<Stop, 'now' | 'tone'> {
  const temporal = troubleOf(parts, 'temporal') ?? (isAway(life, 'temporal') ? 'does not answer' : undefined);
  if (temporal !== undefined) return broken(temporal);
  const { status, taskAttempt = 1 } = life.workflow ?? {};
  if (status === undefined) return fine('one mailbox');
  if (status === 'RUNNING') {
    if (taskAttempt > 1) return { now: `try ${taskAttempt} of its step`, tone: 'warning' };
    return fine(inFlight === 0 ? 'one mailbox' : `${inFlight} in its mailbox`);
  }
  if (status === 'TERMINATED' || status === 'FAILED' || status === 'TIMED_OUT')
    return { now: plainWords(status), tone: 'warning' };
  return fine('sleeps');
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
