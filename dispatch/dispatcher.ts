import type { Logger } from 'pino';
import type { Command } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import { type Outcome, outcomeFor } from '../domain/outcome.ts';
import { type DatabaseClock, OWN_CLOCK } from '../process/database-clock.ts';
import type { Metrics } from '../process/metrics.ts';
import { stageRow } from '../store/staging/stage.ts';
import { ConversationQueue, type QueueDeps } from './conversation-queue.ts';
import { AutoPath } from './auto/auto-path.ts';
import type { ConversationPath, Executors } from './executor.ts';
import type { QueuedCommand } from './queued-command.ts';
import type { Stager } from './stager.ts';
import type { Submission, Submitter } from './submission.ts';
import type { ReportTrouble } from './trouble-reports.ts';

export interface DispatcherDeps {
  readonly pathOf: (conversation: string) => ConversationPath;
  /** Chooses the way of each batch. @default one that nobody watches: good for the paths `workflow` and `direct` */
  readonly auto?: AutoPath;
  readonly executors: Executors;
  /** Whether a workflow of the conversation is believed to run. @default it does */
  readonly isRunning?: (conversation: string) => boolean;
  readonly stager: Stager;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Judges `notAfter`. @default the clock of the process */
  readonly clock?: Pick<DatabaseClock, 'at'>;
  /** Commands that may wait in one queue. */
  readonly mailboxLimit: number;
  /** Something is wrong with a conversation. */
  readonly onTrouble?: ReportTrouble;
}

/** Part of a queue that one user can fill, so that others always find room. */
const SHARE_OF_USER = 1 / 4;

/** The queues of all conversations in this process. */
export interface Dispatcher extends Submitter {
  /** Commands that wait, in all queues. */
  readonly depth: () => number;
  /** Conversations with something in flight. */
  readonly active: () => number;
  /** All queues look again: Temporal went away or came back. */
  readonly look: () => void;
}

/** Builds the one way in: it queues each command by conversation, and answers with the outcome before the deadline. */
export function makeDispatcher(deps: DispatcherDeps): Dispatcher {
  const queues = new Map<string, ConversationQueue>();
  const { metrics, clock = OWN_CLOCK } = deps;
  const queueDeps = makeQueueDeps(deps);

  const open = (conversation: string): ConversationQueue => {
    const queue = new ConversationQueue(conversation, queueDeps, () => {
      if (queue.depth === 0 && queues.get(conversation) === queue) queues.delete(conversation);
    });
    return queue;
  };
  const enter = (submission: Submission): Promise<Outcome> =>
    new Promise((resolve, reject) => {
      const { conversation, command, deadline } = submission;
      let queue = queues.get(conversation);
      if (queue === undefined) queues.set(conversation, (queue = open(conversation)));
      const isFull =
        queue.depth >= deps.mailboxLimit || queue.depthOf(command.actor) >= deps.mailboxLimit * SHARE_OF_USER;
      if (isFull) {
        if (queue.depth >= deps.mailboxLimit) deps.onTrouble?.(conversation, 'mailbox-full', { depth: queue.depth });
        reject(new AppError('overloaded'));
        return;
      }
      const queued: QueuedCommand = {
        submission,
        since: performance.now(),
        turn: 0,
        staged: undefined,
        settled: false,
        settle: (result: Outcome | Error) => {
          if (queued.settled) return;
          queued.settled = true;
          clearTimeout(timer);
          if (result instanceof Error) reject(result);
          else resolve(result);
        },
      };
      const timer = setTimeout(() => queued.settle(new AppError('deadline')), Math.max(0, deadline - Date.now()));
      queue.push(queued);
    });

  return {
    submit: async <C extends Command>(submission: Submission<C>): Promise<Outcome<C['kind']>> => {
      const startedAt = performance.now();
      const { kind } = submission.command;
      try {
        // As much of the database's time as is left of ours: the two clocks may differ.
        const command = { ...submission.command, notAfter: clock.at(submission.deadline) };
        // Also checks what came through Temporal, perhaps from a worker of another version.
        const outcome = outcomeFor(submission.command, await enter({ ...submission, command }));
        observe(metrics, kind, outcome, (performance.now() - startedAt) / 1000);
        return outcome;
      } catch (error) {
        const code = error instanceof AppError ? error.code : 'internal';
        if (code === 'overloaded') metrics.actorMailboxFull();
        metrics.actorMessageDrop(code);
        throw error;
      }
    },
    depth: () => [...queues.values()].reduce((sum, queue) => sum + queue.depth, 0),
    active: () => queues.size,
    look: () => {
      for (const queue of [...queues.values()]) queue.look();
    },
  };
}

function makeQueueDeps(deps: DispatcherDeps): QueueDeps {
  const { pathOf, auto = new AutoPath(), executors, stager, metrics, log, isRunning = () => true } = deps;
  return {
    pathOf,
    auto,
    isRunning,
    executors,
    onDiversion: metrics.diversion,
    stage: ({ conversation, command, deadline }) => {
      const row = stageRow(conversation, command);
      return row === undefined ? undefined : stager.stage(row, deadline);
    },
    discard: (keys) => {
      // The sweep deletes what stays.
      stager.discard(keys).catch((error: unknown) => log.warn({ err: error }, 'staged rows were not discarded'));
    },
    onTaken: metrics.queueWait,
    onReservationWait: metrics.commitWaitedForReservation,
    onBatch: ({ id, conversation, commands, correlationIds }, path, { outcomes, retries }, seconds) => {
      metrics.batch(path, commands.length, seconds);
      commands.forEach(({ kind }, i) => {
        const outcome = outcomes[i];
        if (outcome !== undefined && !waitsForReservation(outcome)) metrics.operation(kind, nameOf(outcome), path);
      });
      const ms = Math.round(seconds * 1000);
      log.info(
        { batch: id, conversation, path, operations: commands.length, retries, ms, correlationIds },
        'batch decided',
      );
    },
  };
}

function observe(metrics: Metrics, kind: Command['kind'], outcome: Outcome, seconds: number): void {
  metrics.actorMessageDuration(kind, seconds);
  if (kind === 'commit' && outcome.status === 'accepted') metrics.epochIncrement(seconds);
  if (outcome.status === 'refused' && outcome.code === 'epoch-conflict') metrics.epochConflict();
}

/** The commit is not decided yet. */
function waitsForReservation(outcome: Outcome): boolean {
  return outcome.status === 'refused' && outcome.code === 'deferred';
}

/** Label of a metric. */
function nameOf(outcome: Outcome): string {
  return outcome.status === 'refused' ? outcome.code : outcome.status;
}
