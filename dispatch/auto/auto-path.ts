import type { CommandKind } from '../../domain/command.ts';
import type { ConversationPath, DiversionReason, ExecutionPath } from '../executor.ts';
import { Breaker, type PendingUpdate } from './breaker.ts';
import { RecentShare } from './recent-share.ts';
import { UpdateBudget } from './update-budget.ts';
import { WedgedConversations } from './wedged-conversations.ts';

/** What waited longer than this before it is handed over goes direct. */
export const WAIT_MS = 25;
/** A batch of this size costs so little per message that it keeps the workflow ... */
export const LARGE_BATCH = 16;
/** ... while updates of its conversation are answered within this time. */
export const QUICK_MS = 250;
/** On the path `workflow` requests wait for so long in an outage; then they are refused. */
export const OUTAGE_MS = 3000;

/** What the choice of a way depends on. */
export interface NextBatch {
  readonly conversation: string;
  readonly kind: CommandKind;
  readonly commands: number;
  /** For how long its oldest command has waited, in milliseconds. */
  readonly waitedMs: number;
  /** How long the newest update of this conversation took, or has taken so far, in milliseconds. */
  readonly updateMs: number;
  /** No workflow of the conversation is known to run. */
  readonly isCold: boolean;
}

/** Which executor takes a batch, and why it is not the workflow. */
export interface Way {
  readonly path: ExecutionPath;
  readonly diverted?: DiversionReason;
}

const BY_WORKFLOW: Way = { path: 'workflow' };
const DIRECT: Way = { path: 'direct' };

/**
 * Why a message is diverted: all rules of the path `auto` in one place (docs/explanation/execution-paths.md). It knows how
 * Temporal does (breaker), what it can carry (budget) and who is stuck (wedged). All conversations of a process share it.
 * Without timers and without calls: `TemporalWatch` feeds it.
 */
export class AutoPath {
  readonly breaker: Breaker;
  readonly budget: UpdateBudget;
  readonly wedged: WedgedConversations;
  readonly recent: RecentShare;
  readonly now: () => number;

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.now = now;
    this.breaker = new Breaker(now);
    this.budget = new UpdateBudget(now);
    this.wedged = new WedgedConversations(now);
    this.recent = new RecentShare(now);
  }

  /** The way of a batch that is handed over now. The answer `workflow` holds a place of the budget: call {@link began}. */
  choose(setting: ConversationPath, batch: NextBatch): Way {
    const way = this.#choose(setting, batch);
    if (setting === 'auto') this.recent.count(way.path);
    return way;
  }

  /** Whether a command of this kind may pass an update of its conversation that is in flight. */
  mayPass(setting: ConversationPath, conversation: string, kind: CommandKind): boolean {
    return setting === 'direct' || isDivertible(kind) || this.whyAway(conversation) !== undefined;
  }

  /** Whether a batch passes the update of its conversation that is in flight, and why. Only the direct way can be taken now. */
  passes(setting: ConversationPath, batch: NextBatch): Way | undefined {
    const way = this.#passes(setting, batch);
    if (setting === 'auto' && way !== undefined) this.recent.count(way.path);
    return way;
  }

  /** Why the workflow of this conversation takes nothing at all, commits too. */
  whyAway(conversation: string): 'breaker' | 'wedged' | undefined {
    if (this.breaker.isOpen) return 'breaker';
    return this.wedged.isHeld(conversation) ? 'wedged' : undefined;
  }

  /** The way of what passes no queue, such as signals. */
  pathNow(setting: ConversationPath, conversation: string): ExecutionPath {
    if (setting !== 'auto') return setting;
    return this.whyAway(conversation) === undefined ? 'workflow' : 'direct';
  }

  /** Temporal has been away for longer than a request may wait for it. */
  get isOutage(): boolean {
    return this.breaker.openMs >= OUTAGE_MS;
  }

  /** An update is in flight from now on. */
  began(update: PendingUpdate): void {
    this.breaker.began(update);
  }

  /** @param commands of the update; undefined = the workflow did not answer */
  ended(update: PendingUpdate, commands: number | undefined): void {
    this.budget.release();
    this.breaker.ended(update, commands !== undefined);
    if (commands === undefined) return;
    this.wedged.answered(update.conversation);
    // A large batch is slow by its size, and the first one of a run by the start.
    if (commands < LARGE_BATCH && update.isCold !== true) this.budget.sample(this.now() - update.since);
  }

  #choose(setting: ConversationPath, batch: NextBatch): Way {
    if (setting === 'direct') return DIRECT;
    if (setting === 'workflow') return this.#byWorkflow();
    const away = this.whyAway(batch.conversation);
    if (away !== undefined) return { path: 'direct', diverted: away };
    if (!isDivertible(batch.kind)) return this.#byWorkflow();
    if (batch.commands >= LARGE_BATCH && batch.updateMs <= QUICK_MS) return this.#byWorkflow();
    if (batch.waitedMs >= WAIT_MS) return { path: 'direct', diverted: 'wait' };
    return this.budget.tryTake(batch.isCold) ? BY_WORKFLOW : { path: 'direct', diverted: 'budget' };
  }

  #passes(setting: ConversationPath, batch: NextBatch): Way | undefined {
    if (setting === 'direct') return DIRECT;
    if (setting === 'workflow') return undefined;
    const away = this.whyAway(batch.conversation);
    if (away !== undefined) return { path: 'direct', diverted: away };
    if (!isDivertible(batch.kind) || batch.waitedMs < WAIT_MS) return undefined;
    if (batch.commands >= LARGE_BATCH && batch.updateMs <= QUICK_MS) return undefined;
    return { path: 'direct', diverted: 'wait' };
  }

  #byWorkflow(): Way {
    this.budget.take();
    return BY_WORKFLOW;
  }
}

/** Messages and read marks. Everything else takes the workflow for as long as that answers. */
function isDivertible(kind: CommandKind): boolean {
  return kind === 'message' || kind === 'read';
}
