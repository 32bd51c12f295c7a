import { randomUUID } from 'node:crypto';
import { AppError, ensureError } from '../domain/errors.ts';
import { MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS, MAX_RESERVATION_MS } from '../domain/limits.ts';
import type { Operation, Outcome } from '../domain/operation.ts';
import type { Staged } from '../store/staging/stage.ts';
import type { Draft } from './command.ts';
import { FairOrder } from './fair-order.ts';
import type { Applied, Batch, BatchItem, PathName } from './executor.ts';

/** What the lanes of a process share. */
export interface LaneDeps {
  readonly pathOf: (conversation: string) => PathName;
  readonly apply: (path: PathName, batch: Batch) => Promise<Applied>;
  /** Stages the bytes of a draft. */
  readonly stage: (draft: Draft) => Promise<Staged>;
  /** Nobody will decide what these staged rows hold. */
  readonly discard: (keys: readonly number[]) => void;
  readonly onBatch: (batch: Batch, path: PathName, applied: Applied, seconds: number) => void;
  readonly onTaken: (path: PathName, waitedSeconds: number) => void;
  /** A commit waits for others. */
  readonly onDeferred: (path: PathName) => void;
}

/** One operation in a lane. */
export interface Waiting {
  draft: Draft;
  readonly since: number;
  /** Its place among those who wait ({@link FairOrder}). */
  turn?: number;
  staged?: Promise<Staged>;
  /** Answered already, for example by its deadline. */
  settled: boolean;
  readonly settle: (result: Outcome | Error) => void;
}

/**
 * The queue of one conversation in this process: one batch in flight, so each sender's order holds; while it is decided
 * the next one gathers, so batches grow with load. Users take turns with what goes alone. A commit that is to wait for
 * others (store/commit/contention.sql) steps back for that time, and with it what its user sent after it; the others go on.
 */
export class Lane {
  readonly #conversation: string;
  readonly #deps: LaneDeps;
  readonly #onIdle: () => void;
  /** By turn; those of one user in the order in which they came. */
  readonly #queue: Waiting[] = [];
  readonly #order = new FairOrder();
  /** Operations in the queue, by user. */
  readonly #depths = new Map<string, number>();
  /** Users whose commit waits for others. */
  readonly #deferred = new Set<string>();
  #running = false;

  /** @param onIdle nothing is in flight; what is still queued waits for others */
  constructor(conversation: string, deps: LaneDeps, onIdle: () => void) {
    this.#conversation = conversation;
    this.#deps = deps;
    this.#onIdle = onIdle;
  }

  get depth(): number {
    return this.#queue.length;
  }

  /** Operations of a user that wait. */
  depthOf(user: string): number {
    return this.#depths.get(user) ?? 0;
  }

  /** Queues an operation. Its bytes are staged at once, while the batch before it is decided. */
  push(waiting: Waiting): void {
    if (this.#deps.pathOf(this.#conversation) === 'workflow') void this.#stage(waiting);
    const turn = this.#order.turnOf(waiting.draft.user, !sharesBatch(waiting.draft.operation));
    waiting.turn = turn;
    this.#count(waiting, 1);
    let place = this.#queue.length;
    while (place > 0 && turnOf(this.#queue[place - 1]) > turn) place--;
    if (place === this.#queue.length) this.#queue.push(waiting);
    else this.#queue.splice(place, 0, waiting);
    this.#start();
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#run();
  }

  #take(): Waiting[] {
    const taken = takeBatch(this.#queue, this.#deferred);
    for (const waiting of taken) this.#count(waiting, -1);
    const batch = taken.filter((waiting) => !waiting.settled);
    if (batch.length < taken.length) void this.#discard(taken.filter((waiting) => waiting.settled));
    if (batch[0] !== undefined) this.#order.taken(turnOf(batch[0]));
    return batch;
  }

  #count({ draft: { user } }: Waiting, by: number): void {
    const depth = this.depthOf(user) + by;
    if (depth > 0) this.#depths.set(user, depth);
    else this.#depths.delete(user);
  }

  /** What was staged for operations that missed their deadline names their sender beside the bytes. */
  async #discard(late: readonly Waiting[]): Promise<void> {
    const staged = await Promise.all(late.map(async (one) => one.staged?.catch(() => undefined)));
    const keys = staged.filter((key) => typeof key === 'number');
    if (keys.length > 0) this.#deps.discard(keys);
  }

  async #run(): Promise<void> {
    for (let batch = this.#take(); batch.length > 0; batch = this.#take()) {
      try {
        await this.#decide(batch);
      } catch (error) {
        for (const waiting of batch) waiting.settle(ensureError(error));
      }
    }
    // In the same step that found nothing to take, so that no operation can be left behind.
    this.#running = false;
    this.#onIdle();
  }

  async #decide(waiting: readonly Waiting[]): Promise<void> {
    const path = this.#deps.pathOf(this.#conversation);
    for (const { since } of waiting) this.#deps.onTaken(path, (performance.now() - since) / 1000);
    if (path === 'direct') return this.#apply('direct', waiting, waiting.map(inlineItem));

    const staged = await Promise.all(waiting.map((one) => this.#stage(one)));
    const taken: Waiting[] = [];
    const references: BatchItem[] = [];
    const outsiders: Waiting[] = [];
    waiting.forEach((one, i) => {
      const key = staged[i];
      if (key === 'over-quota') one.settle(new AppError('rate-limited', 'Too many bytes wait for a decision'));
      else if (key === 'not-a-member') outsiders.push(one);
      else {
        taken.push(one);
        references.push(referenceItem(one, key));
      }
    });
    await Promise.all([
      this.#apply('workflow', taken, references),
      // Judged here and now, which gives retries of former members their answers.
      this.#apply('direct', outsiders, outsiders.map(inlineItem)),
    ]);
  }

  async #apply(path: PathName, waiting: readonly Waiting[], items: readonly BatchItem[]): Promise<void> {
    if (waiting.length === 0) return;
    const batch: Batch = {
      id: randomUUID(),
      conversation: this.#conversation,
      items,
      requests: [...new Set(waiting.map(({ draft }) => draft.requestId))],
      deadline: Math.max(...waiting.map(({ draft }) => draft.deadline)),
    };
    const startedAt = performance.now();
    const applied = await this.#deps.apply(path, batch);
    this.#deps.onBatch(batch, path, applied, (performance.now() - startedAt) / 1000);
    const again: Waiting[] = [];
    waiting.forEach((one, i) => {
      const outcome = applied.outcomes[i];
      if (outcome === undefined) one.settle(new AppError('internal', 'An operation got no outcome'));
      else if (outcome.status === 'refused' && outcome.code === 'body-missing') again.push(one);
      else if (outcome.status === 'refused' && outcome.code === 'deferred') this.#defer(one, path, outcome.forMs);
      // A duplicate of our own retry is its first success.
      else
        one.settle(
          outcome.status === 'duplicate' && applied.retries > 0 ? { ...outcome, status: 'accepted' } : outcome,
        );
    });
    // An earlier attempt consumed the staged bytes, or a sweep took them: decided again, with the bytes inline.
    if (again.length > 0) await this.#apply('direct', again, again.map(inlineItem));
  }

  /** Back to the head of the queue, to be decided once more after that time; its staged row is still there. */
  #defer(waiting: Waiting, path: PathName, forMs = MAX_RESERVATION_MS): void {
    const { draft } = waiting;
    this.#deps.onDeferred(path);
    waiting.draft = { ...draft, operation: { ...draft.operation, deferred: true } as Operation };
    this.#queue.unshift(waiting);
    this.#count(waiting, 1);
    this.#deferred.add(draft.user);
    setTimeout(
      () => {
        this.#deferred.delete(draft.user);
        this.#start();
      },
      Math.min(Math.max(forMs, 1), MAX_RESERVATION_MS),
    );
  }

  #stage(waiting: Waiting): Promise<Staged | undefined> {
    if (waiting.draft.bytes === undefined) return NOTHING_TO_STAGE;
    waiting.staged ??= this.#deps.stage(waiting.draft);
    // Handled where it is awaited; it may fail long before.
    waiting.staged.catch(() => undefined);
    return waiting.staged;
  }
}

const NOTHING_TO_STAGE = Promise.resolve(undefined);

/**
 * Takes the next batch: messages (or read marks) that follow one another share one, everything else goes alone. What is
 * settled already comes with it.
 * @param deferred users whose operations stay where they are
 */
function takeBatch(queue: Waiting[], deferred: ReadonlySet<string>): Waiting[] {
  if (deferred.size > 0) return takeAround(queue, deferred);
  const open = queue.findIndex((waiting) => !waiting.settled);
  const settled = queue.splice(0, open === -1 ? queue.length : open);
  return [...settled, ...queue.splice(0, batchLength(queue))];
}

function takeAround(queue: Waiting[], deferred: ReadonlySet<string>): Waiting[] {
  const free = queue.filter((waiting) => !waiting.settled && !deferred.has(waiting.draft.user));
  const taken = new Set(free.slice(0, batchLength(free)));
  const isTaken = (waiting: Waiting): boolean => waiting.settled || taken.has(waiting);
  const batch = queue.filter(isTaken);
  queue.splice(0, queue.length, ...queue.filter((waiting) => !isTaken(waiting)));
  return batch;
}

/** How many operations at the head of a queue go together. */
function batchLength(queue: readonly Waiting[]): number {
  const first = queue[0]?.draft.operation;
  if (first === undefined) return 0;
  const shares = sharesBatch(first);
  let bytes = 0;
  let count = 0;
  for (const { draft } of queue) {
    bytes += draft.bytes?.ciphertext.length ?? 0;
    const fits = count < MAX_BATCH_OPERATIONS && bytes <= MAX_BATCH_BYTES;
    if (count > 0 && !(shares && fits && draft.operation.kind === first.kind)) break;
    count++;
  }
  return count;
}

function sharesBatch({ kind }: Operation): boolean {
  return kind === 'message' || kind === 'read';
}

function turnOf(waiting: Waiting | undefined): number {
  return waiting?.turn ?? 0;
}

function inlineItem({ draft }: Waiting): BatchItem {
  return { operation: draft.operation, bytes: draft.bytes };
}

/** By reference: sender, epoch and membership changes stand in the staged row, not in the update. */
function referenceItem({ draft: { operation } }: Waiting, body: number | undefined): BatchItem {
  if (body === undefined) return { operation };
  const { id, kind, notAfter } = operation;
  const reference = {
    id,
    kind,
    ...(notAfter === undefined ? {} : { notAfter }),
    ...('type' in operation ? { type: operation.type } : {}),
    ...('sha256' in operation ? { sha256: operation.sha256 } : {}),
    ...('size' in operation ? { size: operation.size } : {}),
    ...(operation.kind === 'commit' && operation.deferred === true ? { deferred: true } : {}),
    ...(operation.kind === 'report' ? { seq: operation.seq, epoch: operation.epoch } : {}),
    body,
  };
  return { operation: reference as Operation };
}
