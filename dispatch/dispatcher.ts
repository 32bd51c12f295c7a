import type { Logger } from 'pino';
import type { Command } from '../domain/command.ts';
import { AppError } from '../domain/errors.ts';
import { type Outcome, outcomeFor } from '../domain/outcome.ts';
import { type DatabaseClock, OWN_CLOCK } from '../process/database-clock.ts';
import type { Metrics } from '../process/metrics.ts';
import { type CommandProgress, ProgressOfRequests } from '../process/progress.ts';
import { type Tracing, traceNow } from '../process/tracing.ts';
import { stageRow } from '../store/staging/stage.ts';
import { ConversationQueue, type QueueDeps, type QueueLoad } from './conversation-queue.ts';
import { AutoPath } from './auto/auto-path.ts';
import type { ConversationPath, Executors } from './executor.ts';
import { operationFact } from './operation-fact.ts';
import type { OperationWatch } from './operation-watch.ts';
import type { QueuedCommand } from './queued-command.ts';
import { RecentFailures } from './recent-failures.ts';
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
  /** Where the commands of requests are. @default nobody looks */
  readonly progress?: ProgressOfRequests;
  /** Who wants to see operations. @default nobody */
  readonly operations?: OperationWatch | undefined;
  /** @default off */
  readonly tracing?: Tracing | undefined;
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
  /** Of one conversation. `undefined`: nothing waits and nothing is in flight. */
  readonly loadOf: (conversation: string) => QueueLoad | undefined;
  /** Age of the oldest command in all queues that nobody has answered yet; milliseconds. */
  readonly oldestMs: () => number;
  /** Batches that took the direct path although the workflow is preferred, since the start of the process, by reason. */
  readonly diversions: () => ReadonlyMap<string, number>;
  /** Failures of late, by conversation. */
  readonly failures: Pick<RecentFailures, 'of'>;
  /** All queues look again: Temporal went away or came back. */
  readonly look: () => void;
}

/** Builds the one way in: it queues each command by conversation, and answers with the outcome before the deadline. */
export function makeDispatcher(deps: DispatcherDeps): Dispatcher {
  const queues = new Map<string, ConversationQueue>();
  const { metrics, clock = OWN_CLOCK, progress: requests = new ProgressOfRequests(), operations } = deps;
  const diversions = new Map<string, number>();
  const queueDeps: QueueDeps = {
    ...makeQueueDeps(deps),
    onDiversion: (reason) => {
      diversions.set(reason, (diversions.get(reason) ?? 0) + 1);
      metrics.diversion(reason);
    },
  };
  const failures = new RecentFailures();

  const open = (conversation: string): ConversationQueue => {
    const queue = new ConversationQueue(conversation, queueDeps, () => {
      if (queue.depth === 0 && queues.get(conversation) === queue) queues.delete(conversation);
    });
    return queue;
  };
  const enter = (submission: Submission, progress: CommandProgress): Promise<Outcome> =>
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
        progress,
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
      const { conversation, correlationId } = submission;
      const { kind, id: operation } = submission.command;
      const mode = deps.pathOf(conversation);
      const progress: CommandProgress = { conversation, operation, mode, waitsFor: 'queue' };
      requests.add(correlationId, progress);
      try {
        // As much of the database's time as is left of ours: the two clocks may differ.
        const command = { ...submission.command, notAfter: clock.at(submission.deadline) };
        // Also checks what came through Temporal, perhaps from a worker of another version.
        const outcome = outcomeFor(submission.command, await enter({ ...submission, command }, progress));
        requests.succeeded(correlationId, progress);
        if (operations?.isWatched(conversation) === true) {
          operations.tell(conversation, operationFact(kind, progress, startedAt, outcome));
        }
        observe(metrics, kind, outcome, (performance.now() - startedAt) / 1000);
        return outcome;
      } catch (error) {
        const code = error instanceof AppError ? error.code : 'internal';
        if (code === 'overloaded') metrics.actorMailboxFull();
        metrics.actorMessageDrop(code);
        if (operations?.isWatched(conversation) === true) {
          operations.tell(conversation, operationFact(kind, progress, startedAt, code));
        }
        failures.note(submission.conversation, { kind, code, waitedMs: Math.round(performance.now() - startedAt) });
        throw error;
      }
    },
    loadOf: (conversation) => queues.get(conversation)?.load,
    oldestMs: () => [...queues.values()].reduce((most, { load }) => Math.max(most, load.oldestMs), 0),
    diversions: () => diversions,
    failures,
    depth: () => [...queues.values()].reduce((sum, queue) => sum + queue.depth, 0),
    active: () => queues.size,
    look: () => {
      for (const queue of [...queues.values()]) queue.look();
    },
  };
}

function makeQueueDeps(deps: DispatcherDeps): Omit<QueueDeps, 'onDiversion'> {
  const { pathOf, auto = new AutoPath(), executors, stager, metrics, log, isRunning = () => true, tracing } = deps;
  return {
    pathOf,
    auto,
    isRunning,
    executors,
    stage: ({ conversation, command, deadline }) => {
      const row = stageRow(conversation, command);
      return row === undefined ? undefined : stager.stage(row, deadline);
    },
    discard: (conversation, keys) => {
      // The sweep deletes what stays.
      stager
        .discard(keys)
        .catch((error: unknown) => log.warn({ err: error, conversation }, 'staged rows were not discarded'));
    },
    onTaken: (path, waitedSeconds, { conversation, correlationId }) => {
      metrics.queueWait(path, waitedSeconds);
      if (tracing === undefined) return;
      const until = traceNow();
      const attributes = { conversation, path };
      tracing.step({
        step: 'queue',
        correlationIds: [correlationId],
        from: until - waitedSeconds * 1000,
        until,
        attributes,
      });
    },
    onHandedOver: ({ id: batch, conversation, commands, correlationIds }, path, seconds, error) => {
      if (tracing === undefined) return;
      const until = traceNow();
      tracing.step({
        step: path === 'direct' ? 'direct' : 'update',
        correlationIds,
        from: until - seconds * 1000,
        until,
        attributes: { conversation, batch, path, operations: commands.length },
        error: error instanceof AppError ? error.code : error === undefined ? undefined : 'internal',
      });
    },
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
