import { MAX_RESERVATION_MS } from '../domain/limits.ts';
import { LARGE_BATCH, type NextBatch, QUICK_MS, WAIT_MS, type Way } from './auto/auto-path.ts';
import { type BatchDeps, BatchRunner } from './batch-runner.ts';
import { nextBatch, takeOut } from './batching.ts';
import type { ConversationPath, ExecutionPath, WayReason } from './executor.ts';
import { FairOrder } from './fair-order.ts';
import { outageError } from './outage.ts';
import { type QueuedCommand, sharesBatch } from './queued-command.ts';
import type { Submission } from './submission.ts';
import { UpdateFlight } from './update-flight.ts';

/** What the queues of a process share. */
export interface QueueDeps extends BatchDeps {
  readonly onTaken: (path: ExecutionPath, waitedSeconds: number, submission: Submission) => void;
  /** A commit waits for a reservation. */
  readonly onReservationWait: (path: ExecutionPath) => void;
}

/** How much a queue has to do, for operators. */
export interface QueueLoad {
  /** Commands that wait for their turn. */
  readonly waiting: number;
  /** Commands that were handed over and are not decided. */
  readonly inFlight: number;
  /** Age of the oldest of both that nobody has answered yet; milliseconds. 0 = there is none. */
  readonly oldestMs: number;
}

/** After this time the duration of an update says nothing about the next one. */
const UPDATE_MS_VALID = 1000;

/**
 * The queue of one conversation in this process. At most one batch is in flight on each way, and one that goes to the
 * workflow only when nothing else is in flight. While a batch is decided the next one gathers, so batches grow with load.
 *
 * The order of each sender holds: while a command of a user is undecided, no later one of that user is handed over, on either
 * way. Users take turns with commands that go alone. A commit that has to wait for a reservation
 * (store/commit/contention.sql) steps back for that time, together with the later commands of its user; the commands of
 * others go on.
 *
 * `AutoPath` says which way a batch takes, when it is handed over and not before.
 */
export class ConversationQueue {
  readonly #conversation: string;
  readonly #deps: QueueDeps;
  readonly #onIdle: () => void;
  readonly #runner: BatchRunner;
  /** By turn; those of one user in the order in which they came. */
  readonly #queue: QueuedCommand[] = [];
  readonly #order = new FairOrder();
  /** Commands in the queue, by user. */
  readonly #depths = new Map<string, number>();
  /** Users with a commit that waits for a reservation. */
  readonly #waitingUsers = new Set<string>();
  #update: UpdateFlight | undefined;
  /** Handed over, and not decided yet. */
  readonly #inFlight = new Set<QueuedCommand>();
  /** Users with a command in the direct batch in flight. */
  #direct: ReadonlySet<string> | undefined;
  /** How long the newest update took, and when it ended. */
  #lastUpdate = { ms: 0, at: -Infinity };
  #lookTimer: ReturnType<typeof setTimeout> | undefined;

  /** @param onIdle nothing is in flight; commands that are still queued wait for a reservation */
  constructor(conversation: string, deps: QueueDeps, onIdle: () => void) {
    this.#conversation = conversation;
    this.#deps = deps;
    this.#onIdle = onIdle;
    this.#runner = new BatchRunner(conversation, deps, (...deferred) => this.#postpone(...deferred));
  }

  get depth(): number {
    return this.#queue.length;
  }

  /** What waits here, and what is being decided. */
  get load(): QueueLoad {
    const open = [...this.#queue, ...this.#inFlight].filter(({ settled }) => !settled);
    const oldest = open.reduce((least, { since }) => Math.min(least, since), Infinity);
    return {
      waiting: this.depth,
      inFlight: this.#inFlight.size,
      oldestMs: oldest === Infinity ? 0 : Math.round(performance.now() - oldest),
    };
  }

  /** How many commands of a user wait. */
  depthOf(user: string): number {
    return this.#depths.get(user) ?? 0;
  }

  /** Queues a command. It is handed over at once if nothing is in flight. */
  push(queued: QueuedCommand): void {
    if (this.#isOutage()) {
      queued.progress.waitsFor = 'temporal';
      queued.settle(outageError());
      return;
    }
    queued.turn = this.#order.turnOf(queued.submission.command.actor, !sharesBatch(queued));
    this.#count(queued, 1);
    const place = this.#queue.findLastIndex(({ turn }) => turn <= queued.turn) + 1;
    this.#queue.splice(place, 0, queued);
    this.#stageEarly(queued);
    if (this.#update === undefined && this.#direct === undefined) this.#pump();
    else this.#lookLater();
  }

  /** Looks again: Temporal went away or came back, or time has passed. */
  look(): void {
    if (this.#isOutage()) {
      for (const queued of this.#queue) {
        queued.progress.waitsFor = 'temporal';
        queued.settle(outageError());
      }
      this.#update?.giveUp('outage');
    }
    const away = this.#deps.auto.whyAway(this.#conversation);
    if (away !== undefined) this.#update?.giveUp(away);
    this.#pump();
  }

  /** Hands over whatever may go now. */
  #pump(): void {
    clearTimeout(this.#lookTimer);
    this.#lookTimer = undefined;
    while (this.#startNext());
    if (this.#update === undefined && this.#direct === undefined) this.#onIdle();
    else if (this.#queue.length > 0) this.#lookLater();
  }

  /** @returns whether a batch was started */
  #startNext(): boolean {
    if (this.#direct !== undefined) return false;
    return this.#update === undefined ? this.#startFirst() : this.#startBehind(this.#update);
  }

  /** Nothing is in flight: the next batch goes, by whatever way. */
  #startFirst(): boolean {
    const batch = nextBatch(this.#queue, this.#waitingUsers);
    this.#take(batch);
    if (batch.length === 0) return false;
    const { ms, at } = this.#lastUpdate;
    const updateMs = this.#deps.auto.now() - at > UPDATE_MS_VALID ? 0 : ms;
    const setting = this.#deps.pathOf(this.#conversation);
    const way = this.#deps.auto.choose(setting, this.#describe(batch, updateMs));
    if (way.path === 'direct') this.#goDirect(batch, way);
    else this.#goByWorkflow(batch, setting);
    return true;
  }

  /** An update is in flight: senders with nothing undecided may pass it, directly. */
  #startBehind(update: UpdateFlight): boolean {
    const { auto, pathOf } = this.#deps;
    const setting = pathOf(this.#conversation);
    if (setting === 'workflow' || this.#queue.length === 0) return false;
    const blocked = new Set([...this.#waitingUsers, ...update.users]);
    const batch = nextBatch(this.#queue, blocked, ({ submission }) =>
      auto.mayPass(setting, this.#conversation, submission.command.kind),
    );
    if (batch.length === 0) return false;
    const way = auto.passes(setting, this.#describe(batch, auto.now() - update.since));
    if (way === undefined) return false;
    this.#take(batch);
    this.#goDirect(batch, way);
    return true;
  }

  #goDirect(batch: readonly QueuedCommand[], { diverted }: Way): void {
    if (diverted !== undefined) this.#deps.onDiversion(diverted);
    this.#direct = new Set(batch.map(({ submission }) => submission.command.actor));
    this.#handedOver(batch, 'direct', diverted ?? 'setting');
    void this.#runner.directly(batch).then(() => {
      for (const queued of batch) this.#inFlight.delete(queued);
      this.#direct = undefined;
      this.#pump();
    });
  }

  #goByWorkflow(batch: readonly QueuedCommand[], setting: ConversationPath): void {
    const { auto } = this.#deps;
    const flight = new UpdateFlight(this.#conversation, batch, {
      now: auto.now(),
      isCold: !this.#deps.isRunning(this.#conversation),
      queueHas: (user) => this.depthOf(user) > 0,
      mayDivert: () => this.#deps.pathOf(this.#conversation) !== 'workflow',
    });
    this.#update = flight;
    this.#handedOver(batch, 'workflow', setting === 'auto' ? 'auto' : 'setting');
    void this.#runner.byWorkflow(flight).then(() => {
      for (const queued of batch) this.#inFlight.delete(queued);
      const now = auto.now();
      this.#lastUpdate = { ms: now - flight.since, at: now };
      this.#update = undefined;
      this.#pump();
    });
  }

  #handedOver(batch: readonly QueuedCommand[], path: ExecutionPath, reason: WayReason): void {
    const [first] = batch;
    if (first !== undefined) this.#order.taken(first.turn);
    for (const queued of batch) {
      const { since, submission, progress } = queued;
      this.#inFlight.add(queued);
      progress.path = path;
      progress.reason = reason;
      progress.waitsFor = path === 'workflow' ? 'staging' : 'postgres';
      this.#deps.onTaken(path, (performance.now() - since) / 1000, submission);
    }
  }

  /** Takes a batch out of the queue, with what was answered meanwhile, for example by its deadline. */
  #take(batch: readonly QueuedCommand[]): void {
    const late = takeOut(this.#queue, batch);
    for (const queued of [...late, ...batch]) this.#count(queued, -1);
    if (late.length > 0) void this.#runner.discard(late);
  }

  #describe(batch: readonly QueuedCommand[], updateMs: number): NextBatch {
    const kind = batch[0]?.submission.command.kind ?? 'message';
    const waitedMs = performance.now() - Math.min(...batch.map(({ since }) => since));
    const isCold = !this.#deps.isRunning(this.#conversation);
    return { conversation: this.#conversation, kind, commands: batch.length, waitedMs, updateMs, isCold };
  }

  /**
   * Stages a command before its turn where it is clear already that the workflow takes it. So a hot conversation stages one
   * batch while the one before it is decided.
   */
  #stageEarly(queued: QueuedCommand): void {
    const setting = this.#deps.pathOf(this.#conversation);
    if (setting === 'workflow') void this.#runner.stage(queued);
    if (setting !== 'auto' || this.#update === undefined || this.#queue.length < LARGE_BATCH) return;
    if (this.#deps.auto.now() - this.#update.since > QUICK_MS || !sharesBatch(queued)) return;
    const waiting = this.#queue.length === LARGE_BATCH ? this.#queue.filter(sharesBatch) : [queued];
    for (const one of waiting) void this.#runner.stage(one);
  }

  /** While something is in flight, time alone may let the next batch go. */
  #lookLater(): void {
    if (this.#lookTimer !== undefined || this.#deps.pathOf(this.#conversation) === 'workflow') return;
    const oldest = Math.min(...this.#queue.map(({ since }) => since));
    const waited = performance.now() - oldest;
    // A little more, so that the time has surely passed.
    this.#lookTimer = setTimeout(() => this.#pump(), waited < WAIT_MS ? WAIT_MS - waited + 1 : WAIT_MS);
  }

  #isOutage(): boolean {
    return this.#deps.auto.isOutage && this.#deps.pathOf(this.#conversation) === 'workflow';
  }

  #count({ submission }: QueuedCommand, by: number): void {
    const user = submission.command.actor;
    const depth = this.depthOf(user) + by;
    if (depth > 0) this.#depths.set(user, depth);
    else this.#depths.delete(user);
  }

  /** Puts a commit back to the head of the queue, to be decided once more after the time of a reservation. */
  #postpone(queued: QueuedCommand, path: ExecutionPath, forMs = MAX_RESERVATION_MS): void {
    const { submission } = queued;
    const { command } = submission;
    this.#deps.onReservationWait(path);
    queued.progress.waitsFor = 'queue';
    if (command.kind === 'commit') {
      queued.submission = { ...submission, command: { ...command, waitedForReservation: true } };
    }
    this.#queue.unshift(queued);
    this.#count(queued, 1);
    this.#waitingUsers.add(command.actor);
    setTimeout(
      () => {
        this.#waitingUsers.delete(command.actor);
        this.#pump();
      },
      Math.min(Math.max(forMs, 1), MAX_RESERVATION_MS),
    );
  }
}
