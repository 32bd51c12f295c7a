import { randomUUID } from 'node:crypto';
import type { Command } from '../domain/command.ts';
import { AppError, ensureError } from '../domain/errors.ts';
import type { Outcome } from '../domain/outcome.ts';
import { type StagedCommand, toStagedCommand } from '../domain/staged-command.ts';
import type { StagedKey } from '../store/staging/stage.ts';
import type { AutoPath } from './auto/auto-path.ts';
import type {
  Applied,
  Batch,
  ConversationPath,
  DiversionReason,
  ExecutionPath,
  Executors,
  WayReason,
} from './executor.ts';
import type { WaitedFor } from '../process/progress.ts';
import { outageError } from './outage.ts';
import type { QueuedCommand } from './queued-command.ts';
import type { Submission } from './submission.ts';
import type { GiveUpReason, UpdateFlight } from './update-flight.ts';

/** What all batches of a process share. */
export interface BatchDeps {
  readonly pathOf: (conversation: string) => ConversationPath;
  readonly auto: AutoPath;
  readonly executors: Executors;
  /** Whether a workflow of the conversation is believed to run. */
  readonly isRunning: (conversation: string) => boolean;
  /** Stages a command; `undefined` = it travels whole. */
  readonly stage: (submission: Submission) => Promise<StagedKey> | undefined;
  /** The commands of these staged rows will never be decided. */
  readonly discard: (conversation: string, keys: readonly number[]) => void;
  readonly onBatch: (
    batch: Batch<Command | StagedCommand>,
    path: ExecutionPath,
    applied: Applied,
    seconds: number,
  ) => void;
  /** A batch came back, however it did. @param error absent = it was decided */
  readonly onHandedOver: (
    batch: Batch<Command | StagedCommand>,
    path: ExecutionPath,
    seconds: number,
    error?: unknown,
  ) => void;
  readonly onDiversion: (reason: DiversionReason) => void;
}

/** A commit has to wait for a reservation. */
export type OnDeferred = (queued: QueuedCommand, path: ExecutionPath, forMs?: number) => void;

/**
 * Has batches of one conversation decided, by its workflow or directly, and answers their requests.
 *
 * A command that was staged is decided by its staged row for good: on either path, and again after the workflow did not
 * answer. Whoever decides it deletes the row in the same transaction. So the copy that comes late finds nothing, and what was
 * refused stays refused.
 */
export class BatchRunner {
  readonly #conversation: string;
  readonly #deps: BatchDeps;
  readonly #onDeferred: OnDeferred;

  constructor(conversation: string, deps: BatchDeps, onDeferred: OnDeferred) {
    this.#conversation = conversation;
    this.#deps = deps;
    this.#onDeferred = onDeferred;
  }

  /** Never rejects: all commands are answered, or deferred. */
  async directly(batch: readonly QueuedCommand[]): Promise<void> {
    await this.#answering(batch, async () => {
      const commands = await Promise.all(batch.map(stagedOrInline));
      const applied = await this.#apply('direct', batch, commands, this.#deps.executors.direct);
      await this.#settle('direct', batch, applied);
    });
  }

  /** The same, by the workflow. The flight holds a place of the budget until then. */
  async byWorkflow(flight: UpdateFlight): Promise<void> {
    const places = { held: true };
    await this.#answering(flight.batch, () => this.#stageAndSubmit(flight, places));
    // It never took off.
    if (places.held) this.#deps.auto.budget.release();
  }

  /** Stages a command once. @returns `undefined` for one that travels whole */
  stage(queued: QueuedCommand): Promise<StagedKey | undefined> {
    const staging = (queued.staged ??= this.#deps.stage(queued.submission));
    if (staging === undefined) return NOTHING_TO_STAGE;
    // Handled where it is awaited; it may fail long before.
    staging.catch(() => undefined);
    return staging;
  }

  /** Deletes rows of commands that nobody will decide: they name the sender beside the bytes. */
  async discard(commands: readonly QueuedCommand[]): Promise<void> {
    const staged = await Promise.all(commands.map(async (queued) => queued.staged?.catch(() => undefined)));
    const keys = staged.filter((key) => typeof key === 'number');
    if (keys.length > 0) this.#deps.discard(this.#conversation, keys);
  }

  async #stageAndSubmit(flight: UpdateFlight, places: { held: boolean }): Promise<void> {
    const { batch } = flight;
    const keys = await Promise.all(batch.map((queued) => this.stage(queued)));
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
      this.#submit(flight, taken, commands, places),
      // Decided here and now: a retry of a former member gets its first answer.
      outsiders.length === 0 ? undefined : this.directly(because('not-a-member', outsiders)),
    ]);
  }

  async #submit(
    flight: UpdateFlight,
    taken: readonly QueuedCommand[],
    commands: readonly StagedCommand[],
    places: { held: boolean },
  ): Promise<void> {
    if (taken.length === 0) return;
    const { auto, pathOf, executors } = this.#deps;
    // Temporal may have gone away while the rows were stored.
    const away = pathOf(this.#conversation) === 'auto' ? auto.whyAway(this.#conversation) : undefined;
    if (away !== undefined) return this.#rescue(taken, commands, away, 0);
    flight.since = auto.now();
    auto.began(flight);
    places.held = false;
    const end = await this.#answerOf(
      flight,
      this.#apply('workflow', taken, commands, executors.workflow, flight.signal),
    );
    auto.ended(flight, 'outcomes' in end ? commands.length : undefined);
    if ('outcomes' in end) return this.#settle('workflow', taken, end);
    flight.abandon();
    if (end.reason === 'outage') throw outageError();
    // An operator's choice of the workflow is kept to the end.
    if (end.error !== undefined && (pathOf(this.#conversation) === 'workflow' || isLate(taken))) throw end.error;
    return this.#rescue(taken, commands, end.reason, 1);
  }

  /** What comes first: the answer of the workflow, its failure, or that nobody waits for it any more. */
  async #answerOf(
    flight: UpdateFlight,
    update: Promise<Applied>,
  ): Promise<Applied | { readonly reason: GiveUpReason; readonly error?: Error }> {
    try {
      const first = await Promise.race([update, flight.givenUp]);
      if (typeof first !== 'string') return first;
      update.catch(() => undefined);
      return { reason: first };
    } catch (error) {
      return { reason: 'failed', error: ensureError(error) };
    }
  }

  /** Decides what the workflow has not: the very same staged commands with the same ids, so that each is decided once. */
  async #rescue(
    queued: readonly QueuedCommand[],
    commands: readonly StagedCommand[],
    reason: Exclude<GiveUpReason, 'outage'>,
    earlierTries: number,
  ): Promise<void> {
    this.#deps.onDiversion(reason);
    because(reason, queued);
    const { outcomes, retries } = await this.#apply('direct', queued, commands, this.#deps.executors.direct);
    await this.#settle('direct', queued, { outcomes, retries: retries + earlierTries });
  }

  async #apply<C extends Command | StagedCommand>(
    path: ExecutionPath,
    queued: readonly QueuedCommand[],
    commands: readonly C[],
    execute: (batch: Batch<C>) => Promise<Applied>,
    signal?: AbortSignal,
  ): Promise<Applied> {
    const show = (waitsFor: WaitedFor): void => {
      for (const { progress } of queued) Object.assign(progress, { path, waitsFor });
    };
    show(path === 'workflow' ? 'temporal' : 'postgres');
    const batch: Batch<C> = {
      id: randomUUID(),
      conversation: this.#conversation,
      commands,
      correlationIds: [...new Set(queued.map(({ submission }) => submission.correlationId))],
      deadline: deadlineOf(queued),
      onWait: show,
      ...(signal === undefined ? {} : { signal }),
    };
    const startedAt = performance.now();
    const seconds = (): number => (performance.now() - startedAt) / 1000;
    try {
      const applied = await execute(batch);
      this.#deps.onHandedOver(batch, path, seconds());
      if (signal?.aborted !== true) this.#deps.onBatch(batch, path, applied, seconds());
      return applied;
    } catch (error) {
      this.#deps.onHandedOver(batch, path, seconds(), error);
      throw error;
    }
  }

  async #settle(path: ExecutionPath, batch: readonly QueuedCommand[], { outcomes, retries }: Applied): Promise<void> {
    const withoutRow: QueuedCommand[] = [];
    batch.forEach((queued, i) => {
      const outcome = outcomes[i];
      if (outcome === undefined) queued.settle(new AppError('internal', 'A command got no outcome'));
      else if (outcome.status === 'refused' && outcome.code === 'body-missing') withoutRow.push(queued);
      else if (outcome.status === 'refused' && outcome.code === 'deferred')
        this.#onDeferred(queued, path, outcome.forMs);
      else queued.settle(firstSuccess(outcome, retries));
    });
    if (withoutRow.length > 0) await this.#decideInline(withoutRow);
  }

  /** An earlier attempt used up the staged row, or a sweep took it: decided again, with all parts inline. */
  async #decideInline(batch: readonly QueuedCommand[]): Promise<void> {
    for (const queued of because('again', batch)) queued.staged = undefined;
    const commands = batch.map(({ submission }) => submission.command);
    const { outcomes, retries } = await this.#apply('direct', batch, commands, this.#deps.executors.direct);
    // A duplicate is the success of that attempt.
    await this.#settle('direct', batch, { outcomes, retries: retries + 1 });
  }

  /** Runs work that ends in answers. What it throws is the answer of all that have none. */
  async #answering(batch: readonly QueuedCommand[], work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      for (const queued of batch) queued.settle(ensureError(error));
      void this.discard(batch);
    }
  }
}

/** Notes why these commands take the way that they take from here on. */
function because(reason: WayReason, commands: readonly QueuedCommand[]): readonly QueuedCommand[] {
  for (const { progress } of commands) progress.reason = reason;
  return commands;
}

const NOTHING_TO_STAGE = Promise.resolve(undefined);

/** A command on the direct path: by its staged row if it has one. A row that could not be stored is no obstacle here. */
async function stagedOrInline({ staged, submission }: QueuedCommand): Promise<Command | StagedCommand> {
  const key = staged === undefined ? undefined : await staged.catch(() => undefined);
  return typeof key === 'number' ? toStagedCommand(submission.command, key) : submission.command;
}

function deadlineOf(batch: readonly QueuedCommand[]): number {
  return Math.max(...batch.map(({ submission }) => submission.deadline));
}

function isLate(batch: readonly QueuedCommand[]): boolean {
  return Date.now() >= deadlineOf(batch);
}

/** A duplicate that answers a retry of this process is its first success. */
function firstSuccess(outcome: Outcome, retries: number): Outcome {
  return outcome.status === 'duplicate' && retries > 0 ? { ...outcome, status: 'accepted' } : outcome;
}
