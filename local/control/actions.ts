import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../process/message-of.ts';
import type { StackOptions } from '../options.ts';
import { partFiles } from '../parts.ts';
import type { PartStates, WatchedPart } from '../part-states.ts';
import { livePid } from '../pid-file.ts';
import { signalProcess } from '../process-table.ts';
import type { Backups } from './backups.ts';
import { Refusal } from './refusal.ts';
import type { ActionRequest } from './requests.ts';
import { terminateWorkflow } from './terminate-workflow.ts';

/** Longer than the longest time limit of a request, so that a person sees what the service does without Temporal. */
const TEMPORAL_STOPPED_MS = 20_000;
/** A part that does not come back must not keep others from being tried. */
const COMES_BACK_MS = 60_000;

export type RunningAction = { what: ActionRequest['what']; since: number };

/** What a person may do to the stack: one thing at a time. */
export type Actions = {
  /** Begins. @throws Refusal if it is not possible now */
  start: (request: ActionRequest) => Promise<void>;
  /** What runs now. */
  running: () => RunningAction | undefined;
  /** Resolves when nothing runs. */
  idle: () => Promise<void>;
  onChange: (listener: () => void) => void;
};

export type ActionsInput = {
  options: StackOptions;
  states: PartStates;
  /** Absent = the database is not the stack's own. */
  backups: Backups | undefined;
  temporalAddress: string;
  say: (line: string) => void;
  /** Aborted when the stack stops: actions end at once then. */
  signal: AbortSignal;
};

export function makeActions({ options, states, backups, temporalAddress, say, signal }: ActionsInput): Actions {
  const listeners: (() => void)[] = [];
  let running: RunningAction | undefined;
  let work: Promise<void> = Promise.resolve();

  const become = (action: RunningAction | undefined): void => {
    running = action;
    for (const listener of listeners) listener();
  };
  /** @returns the pid of a part that can be ended. @throws Refusal */
  const pidOf = (part: WatchedPart): number => {
    const { state } = states.get(part);
    if (state === 'external') throw new Refusal(409, 'external-part', `${part} is not run by this stack.`);
    const pid = livePid(partFiles(options, part).pidFile);
    if (state !== 'running' || pid === undefined) throw new Refusal(409, 'not-running', `${part} does not run now.`);
    return pid;
  };
  const ownBackups = (): Backups => {
    if (backups === undefined) throw new Refusal(409, 'external-part', 'The database is not run by this stack.');
    pidOf('postgres');
    return backups;
  };

  /** Checks at once, and returns what is left to do. */
  const begin = async (request: ActionRequest): Promise<() => Promise<void>> => {
    switch (request.what) {
      case 'kill-worker':
        return kill('worker');
      case 'kill-api':
        return kill('api');
      case 'kill-postgres':
        return kill('postgres');
      case 'stop-temporal':
        return pause('temporal');
      case 'take-backup':
        return ownBackups().take;
      case 'restore-backup':
        if (ownBackups().takenAt() === undefined) throw new Refusal(409, 'no-backup', 'There is no backup.');
        return ownBackups().restore;
      case 'terminate-workflow':
        pidOf('temporal');
        await terminateWorkflow(
          { address: temporalAddress, namespace: options.namespace },
          request.conversation,
          'Terminated by the button of the web app',
        );
        return () => Promise.resolve();
    }
  };
  /** A real SIGKILL: whoever keeps the part running starts it again. */
  const kill = (part: WatchedPart): (() => Promise<void>) => {
    const pid = pidOf(part);
    const { restarts } = states.get(part);
    states.expectEnd(part);
    signalProcess(pid, 'SIGKILL');
    return () => untilChange(states, () => states.get(part).restarts > restarts, signal);
  };
  /** SIGSTOP, the worst that can happen to a server: it is there, its connections are open, and it says nothing. */
  const pause = (part: WatchedPart): (() => Promise<void>) => {
    const pid = pidOf(part);
    signalProcess(pid, 'SIGSTOP');
    states.set(part, 'paused');
    return async () => {
      await sleep(TEMPORAL_STOPPED_MS, undefined, { signal }).catch(() => undefined);
      if (livePid(partFiles(options, part).pidFile) !== pid) return;
      signalProcess(pid, 'SIGCONT');
      if (states.get(part).state === 'paused') states.set(part, 'running');
    };
  };

  return {
    start: async (request) => {
      if (signal.aborted) throw new Refusal(409, 'stopping', 'The stack stops.');
      if (running !== undefined)
        throw new Refusal(409, 'another-action', `Something else is being done: ${running.what}.`);
      become({ what: request.what, since: Date.now() });
      const begun = begin(request);
      work = begun
        .then((finish) => finish())
        .catch((error: unknown) => {
          if (!(error instanceof Refusal)) say(`Web app: ${request.what} failed: ${messageOf(error)}`);
        })
        .finally(() => become(undefined));
      await begun;
      say(`Web app: ${request.what}`);
    },
    running: () => running,
    idle: () => work,
    onChange: (listener) => void listeners.push(listener),
  };
}

/** Waits until a condition holds, the time is up, or the stack stops. */
async function untilChange(states: PartStates, holds: () => boolean, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(end, COMES_BACK_MS);
    const stopListening = states.onChange(() => {
      if (holds()) end();
    });
    signal.addEventListener('abort', end);
    if (holds()) end();
    function end(): void {
      clearTimeout(timer);
      stopListening();
      signal.removeEventListener('abort', end);
      resolve();
    }
  });
}
