import { randomUUID } from 'node:crypto';
import type { Command } from '../domain/command.ts';
import { AppError, ensureError } from '../domain/errors.ts';
import { MAX_RESERVATION_MS } from '../domain/limits.ts';
import type { Outcome } from '../domain/outcome.ts';
import { type StagedCommand, toStagedCommand } from '../domain/staged-command.ts';
import type { StagedKey } from '../store/staging/stage.ts';
import { takeBatch } from './batching.ts';
import type { Applied, Batch, ExecutionPath, Executors } from './executor.ts';
import { FairOrder } from './fair-order.ts';
import { type QueuedCommand, sharesBatch } from './queued-command.ts';
import type { Submission } from './submission.ts';

/** What the queues of a process share. */
export interface QueueDeps {
  readonly pathOf: (conversation: string) => ExecutionPath;
  readonly executors: Executors;
  /** Stages the bytes of a command; `undefined` = the command has none. */
  readonly stage: (submission: Submission) => Promise<StagedKey> | undefined;
  /** The commands of these staged rows will never be decided. */
  readonly discard: (keys: readonly number[]) => void;
  readonly onBatch: (
    batch: Batch<Command | StagedCommand>,
    path: ExecutionPath,
    applied: Applied,
    seconds: number,
  ) => void;
  readonly onTaken: (path: ExecutionPath, waitedSeconds: number) => void;
  /** A commit waits for a reservation. */
  readonly onReservationWait: (path: ExecutionPath) => void;
}

/**
 * The queue of one conversation in this process. One batch is in flight, so each sender's order holds; while it is decided
 * the next one gathers, so batches grow with load. Users take turns with commands that go alone. A commit that has to wait
 * for a reservation (store/commit/contention.sql) steps back for that time, together with the later commands of its user;
 * the commands of others go on.
 */
export class ConversationQueue {
  readonly #conversation: string;
  readonly #deps: QueueDeps;
  readonly #onIdle: () => void;
  /** By turn; those of one user in the order in which they came. */
  readonly #queue: QueuedCommand[] = [];
  readonly #order = new FairOrder();
  /** Commands in the queue, by user. */
  readonly #depths = new Map<string, number>();
  /** Users with a commit that waits for a reservation. */
  readonly #waitingUsers = new Set<string>();
  #running = false;

  /** @param onIdle nothing is in flight; commands that are still queued wait for a reservation */
  constructor(conversation: string, deps: QueueDeps, onIdle: () => void) {
    this.#conversation = conversation;
    this.#deps = deps;
    this.#onIdle = onIdle;
  }

  get depth(): number {
    return this.#queue.length;
  }

  /** How many commands of a user wait. */
  depthOf(user: string): number {
    return this.#depths.get(user) ?? 0;
  }

  /** Queues a command. Its bytes are staged at once, while the batch before it is decided. */
  push(queued: QueuedCommand): void {
    if (this.#deps.pathOf(this.#conversation) === 'workflow') void this.#stage(queued);
    queued.turn = this.#order.turnOf(queued.submission.command.actor, !sharesBatch(queued));
    this.#count(queued, 1);
    const place = this.#queue.findLastIndex(({ turn }) => turn <= queued.turn) + 1;
    this.#queue.splice(place, 0, queued);
    this.#start();
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      try {
        await this.#decide(batch);
      } catch (error) {
        for (const queued of batch) queued.settle(ensureError(error));
      }
    }
    // In the same step that found nothing to take, so that no command can be left behind.
    this.#running = false;
    this.#onIdle();
  }

  #take(): QueuedCommand[] {
    const taken = takeBatch(this.#queue, this.#waitingUsers);
    for (const queued of taken) this.#count(queued, -1);
    const batch = taken.filter((queued) => !queued.settled);
    if (batch.length < taken.length) void this.#discard(taken.filter((queued) => queued.settled));
    if (batch[0] !== undefined) this.#order.taken(batch[0].turn);
    return batch;
  }

  #count({ submission }: QueuedCommand, by: number): void {
    const user = submission.command.actor;
    const depth = this.depthOf(user) + by;
    if (depth > 0) this.#depths.set(user, depth);
    else this.#depths.delete(user);
  }

  /** Rows of commands that missed their deadline: they name the sender beside the bytes. */
  async #discard(late: readonly QueuedCommand[]): Promise<void> {
    const staged = await Promise.all(late.map(async (queued) => queued.staged?.catch(() => undefined)));
    const keys = staged.filter((key) => typeof key === 'number');
    if (keys.length > 0) this.#deps.discard(keys);
  }

  async #decide(batch: readonly QueuedCommand[]): Promise<void> {
    const path = this.#deps.pathOf(this.#conversation);
    for (const { since } of batch) this.#deps.onTaken(path, (performance.now() - since) / 1000);
    if (path === 'direct') await this.#applyDirectly(batch);
    else await this.#applyByWorkflow(batch);
  }

  async #applyByWorkflow(batch: readonly QueuedCommand[]): Promise<void> {
    const keys = await Promise.all(batch.map((queued) => this.#stage(queued)));
    const taken: QueuedCommand[] = [];
    const commands: StagedCommand[] = [];
    const outsiders: QueuedCommand[] = [];
    batch.forEach((queued, i) => {
      const key = keys[i];
      if (key === 'over-quota') {
        queued.settle(new AppError('rate-limited', 'Too many of your bytes wait for a decision'));
      } else if (key === 'not-a-member') {
        outsiders.push(queued);
      } else {
        taken.push(queued);
        commands.push(toStagedCommand(queued.submission.command, key));
      }
    });
    await Promise.all([
      this.#apply('workflow', taken, commands, this.#deps.executors.workflow),
      // Decided here and now: a retry of a former member gets its first answer.
      this.#applyDirectly(outsiders),
    ]);
  }

  #applyDirectly(batch: readonly QueuedCommand[]): Promise<void> {
    const commands = batch.map(({ submission }) => submission.command);
    return this.#apply('direct', batch, commands, this.#deps.executors.direct);
  }

  async #apply<C extends Command | StagedCommand>(
    path: ExecutionPath,
    queued: readonly QueuedCommand[],
    commands: readonly C[],
    execute: (batch: Batch<C>) => Promise<Applied>,
  ): Promise<void> {
    if (queued.length === 0) return;
    const batch: Batch<C> = {
      id: randomUUID(),
      conversation: this.#conversation,
      commands,
      correlationIds: [...new Set(queued.map(({ submission }) => submission.correlationId))],
      deadline: Math.max(...queued.map(({ submission }) => submission.deadline)),
    };
    const startedAt = performance.now();
    const applied = await execute(batch);
    this.#deps.onBatch(batch, path, applied, (performance.now() - startedAt) / 1000);
    await this.#settle(path, queued, applied);
  }

  async #settle(path: ExecutionPath, batch: readonly QueuedCommand[], { outcomes, retries }: Applied): Promise<void> {
    const withoutBytes: QueuedCommand[] = [];
    batch.forEach((queued, i) => {
      const outcome = outcomes[i];
      if (outcome === undefined) queued.settle(new AppError('internal', 'A command got no outcome'));
      else if (outcome.status === 'refused' && outcome.code === 'body-missing') withoutBytes.push(queued);
      else if (outcome.status === 'refused' && outcome.code === 'deferred') this.#postpone(queued, path, outcome.forMs);
      else queued.settle(firstSuccess(outcome, retries));
    });
    // An earlier attempt used up the staged bytes, or a sweep took them: decided again, with the bytes inline.
    if (withoutBytes.length > 0) await this.#applyDirectly(withoutBytes);
  }

  /** Puts a commit back to the head of the queue, to be decided once more after the time of a reservation. */
  #postpone(queued: QueuedCommand, path: ExecutionPath, forMs = MAX_RESERVATION_MS): void {
    const { submission } = queued;
    const { command } = submission;
    this.#deps.onReservationWait(path);
    if (command.kind === 'commit') {
      queued.submission = { ...submission, command: { ...command, waitedForReservation: true } };
    }
    this.#queue.unshift(queued);
    this.#count(queued, 1);
    this.#waitingUsers.add(command.actor);
    setTimeout(
      () => {
        this.#waitingUsers.delete(command.actor);
        this.#start();
      },
      Math.min(Math.max(forMs, 1), MAX_RESERVATION_MS),
    );
  }

  /** Stages a command's bytes once; a commit that waited finds its row again. */
  #stage(queued: QueuedCommand): Promise<StagedKey | undefined> {
    const staging = (queued.staged ??= this.#deps.stage(queued.submission));
    if (staging === undefined) return NOTHING_TO_STAGE;
    // Handled where it is awaited; it may fail long before.
    staging.catch(() => undefined);
    return staging;
  }
}

const NOTHING_TO_STAGE = Promise.resolve(undefined);

/** A duplicate that answers a retry of this process is its first success. */
function firstSuccess(outcome: Outcome, retries: number): Outcome {
  return outcome.status === 'duplicate' && retries > 0 ? { ...outcome, status: 'accepted' } : outcome;
}
