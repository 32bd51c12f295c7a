import { randomUUID } from 'node:crypto';
import { AppError, ensureError } from '../../domain/errors.ts';
import { MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS } from '../../domain/limits.ts';
import type { Operation, Outcome } from '../../domain/operation.ts';
import type { Staged } from '../../store/stage.ts';
import type { Draft } from './draft.ts';
import type { Applied, Batch, BatchItem, PathName } from './path.ts';

/** What the lanes of a process share. */
export interface LaneDeps {
  readonly pathOf: (conversation: string) => PathName;
  readonly apply: (path: PathName, batch: Batch) => Promise<Applied>;
  /** Stages the bytes of a draft. */
  readonly stage: (draft: Draft) => Promise<Staged>;
  readonly onBatch: (batch: Batch, path: PathName, applied: Applied, seconds: number) => void;
  readonly onTaken: (path: PathName, waitedSeconds: number) => void;
}

/** One operation in a lane. */
export interface Waiting {
  readonly draft: Draft;
  readonly since: number;
  staged?: Promise<Staged>;
  /** Answered already, for example by its deadline. */
  settled: boolean;
  readonly settle: (result: Outcome | Error) => void;
}

/**
 * The queue of one conversation in this process: one batch in flight, so each sender's order holds; while it is decided
 * the next one gathers, so batches grow with load.
 */
export class Lane {
  readonly #conversation: string;
  readonly #deps: LaneDeps;
  readonly #queue: Waiting[] = [];
  #running = false;

  constructor(conversation: string, deps: LaneDeps) {
    this.#conversation = conversation;
    this.#deps = deps;
  }

  get depth(): number {
    return this.#queue.length;
  }

  /** Queues an operation. Its bytes are staged at once, while the batch before it is decided. */
  push(waiting: Waiting, onEmpty: () => void): void {
    if (this.#deps.pathOf(this.#conversation) === 'workflow') void this.#stage(waiting);
    this.#queue.push(waiting);
    if (this.#running) return;
    this.#running = true;
    void this.#run(onEmpty);
  }

  async #run(onEmpty: () => void): Promise<void> {
    for (let batch = takeBatch(this.#queue); batch.length > 0; batch = takeBatch(this.#queue)) {
      try {
        await this.#decide(batch);
      } catch (error) {
        for (const waiting of batch) waiting.settle(ensureError(error));
      }
    }
    // In the same step that saw the queue empty, so that no operation can be left behind.
    this.#running = false;
    onEmpty();
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
      // A duplicate of our own retry is its first success.
      else
        one.settle(
          outcome.status === 'duplicate' && applied.retries > 0 ? { ...outcome, status: 'accepted' } : outcome,
        );
    });
    // An earlier attempt consumed the staged bytes, or a sweep took them: decided again, with the bytes inline.
    if (again.length > 0) await this.#apply('direct', again, again.map(inlineItem));
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

/** Takes the next batch: messages (or read marks) that follow one another share one, everything else goes alone. */
function takeBatch(queue: Waiting[]): Waiting[] {
  while (queue[0]?.settled === true) queue.shift();
  const first = queue[0]?.draft.operation;
  if (first === undefined) return [];
  const shares = first.kind === 'message' || first.kind === 'read';
  let bytes = 0;
  let count = 0;
  for (const { draft } of queue) {
    bytes += draft.bytes?.ciphertext.length ?? 0;
    const fits = count < MAX_BATCH_OPERATIONS && bytes <= MAX_BATCH_BYTES;
    if (count > 0 && !(shares && fits && draft.operation.kind === first.kind)) break;
    count++;
  }
  return queue.splice(0, count).filter((waiting) => !waiting.settled);
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
    ...(operation.kind === 'report' ? { seq: operation.seq, epoch: operation.epoch } : {}),
    body,
  };
  return { operation: reference as Operation };
}
