import type { ParleyClient } from '../api/parley-client.ts';
import { hasCode, isRefusal, lastSeqOf, ProblemError } from '../api/problem.ts';
import type { ChainPosition } from '../chain/position.ts';
import { positionText } from '../chain/position.ts';
import { devicesOf, leafWithKey } from '../mls/leaves.ts';
import { sleep } from '../platform/sleep.ts';
import { agreedPosition } from '../restart/agreed-position.ts';
import type { LostRemoval } from '../restart/lost-changes.ts';
import { lostChanges, missingUsers, zombies } from '../restart/lost-changes.ts';
import type { Plan } from './changes.ts';
import { planUpdate, removeProposal } from './changes.ts';
import type { GroupCommits } from './group-commits.ts';
import type { GroupLog } from './group-log.ts';
import type { GroupRepair } from './group-repair.ts';

/** Users that the successor of a conversation must not have, and users that only lost commits had added. */
export interface Replacement {
  readonly without: readonly string[];
  readonly including: readonly string[];
}

export interface RestartOptions {
  readonly api: Pick<ParleyClient, 'positions' | 'log' | 'report'>;
  /** Conversation id. */
  readonly id: string;
  /** Adds users with newly claimed key packages. */
  readonly invite: (users: readonly string[]) => Promise<void>;
  /** Replaces the conversation by a successor, or finds the one that another member made. */
  readonly replace: (replacement: Replacement) => Promise<void>;
  /** Called when the device has found out that the log of the group was restarted. */
  readonly onRestart: () => void;
}

export interface SettleOptions {
  /** The caller may be the invitation that is part of a restart, which cannot wait for itself. @default true */
  readonly isInvitation?: boolean;
}

/** What a group does for its restart. */
export interface RestartParts {
  readonly log: GroupLog;
  readonly repair: GroupRepair;
  readonly commits: GroupCommits;
  /** Runs a task when no other task of the group runs. */
  readonly inTurn: <T>(task: () => Promise<T>) => Promise<T>;
  /** Encrypts a text anew and sends it, as the message with this id. */
  readonly send: (text: string, messageId: string) => Promise<unknown>;
  /** Sends the next message of the outbox. @returns whether there was one */
  readonly deliverNext: () => Promise<boolean>;
}

/** The group has to wait: no member that could repair it has been there yet. */
export class RestartPendingError extends Error {
  override readonly name = 'RestartPendingError';

  constructor(conversation: string, cause: unknown) {
    super(`the service lost the end of the log of ${conversation}, and this device cannot repair the group alone`, {
      cause,
    });
  }
}

/** Upper limit of the random wait before a device with a state makes the first commit: mostly only one makes it. */
const COMMIT_SPREAD_MS = 500;
/** Devices without a state wait longer, so that one with a state goes first; and the more devices, the wider they spread. */
const JOIN_AFTER_MS = 1_000;
const JOIN_SPREAD_MS = 50;
const POLL_MS = 100;
/** Messages wait until no device has joined again for this time, or for so long. */
const QUIET_MS = 1_000;
const MAX_GATHER_MS = 10_000;
/** Who made a lost addition repeats it at once; the others do when it has not come by then. */
const INVITE_AFTER_MS = 2_000;
/** Each device without a state costs the group a commit. Above so many a new group is cheaper. */
const MAX_JOINS = 50;
const MAX_ROUNDS = 8;

/**
 * What a device does after the service has lost the end of the log of a group, because its database was restored to an older
 * state (docs/explanation/after-a-restore.md). First the device finds out what is lost, and destroys a state that is; that is
 * `notice`. The rest waits for other devices and may take seconds; that is `settle`. What is still to do survives a crash.
 */
export class GroupRestart {
  readonly #options: RestartOptions;
  readonly #parts: RestartParts;
  #settling: Promise<void> | undefined;
  /** Lost removals are committed, and an invitation is under way, which uses the group as any app does. */
  #isInviting = false;

  constructor(options: RestartOptions, parts: RestartParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** Something of a restart is still to do. */
  get isPending(): boolean {
    const { log } = this.#parts;
    return log.restart !== undefined && !log.isRemoved;
  }

  /**
   * Finds what the device and the log have in common, and gives up everything above. Call it in turn.
   * @param lastSeq nothing above it is in common: the service, or an entry of the log, has said so in this turn. In an earlier one it may
   * have been about what this device has given up since
   * @returns whether anything was lost
   */
  async notice(lastSeq?: number): Promise<boolean> {
    const { log } = this.#parts;
    const known = [...log.chain.links].map(([seq, chain]): ChainPosition => ({ seq, chain }));
    const candidates = [...new Map([...known, ...log.accepted].map((one) => [one.seq, one])).values()];
    let agreed: ChainPosition | undefined;
    let isGone = false;
    try {
      agreed = await agreedPosition(
        candidates.filter(({ seq }) => seq <= (lastSeq ?? Infinity)),
        (positions) => this.#compare(positions),
      );
    } catch (error) {
      if (hasCode(error, 'removed')) return false;
      if (!hasCode(error, 'not-found')) throw error;
      // The commit that added this user is lost. Who knows of it adds the user again.
      log.hasLeft = true;
      isGone = true;
    }
    const newest = log.answeredTo;
    if (agreed !== undefined && agreed.seq >= newest) return false;
    // Without a position in common, perhaps none can be compared: retention took them, they are of an earlier membership, or the device
    // has just joined and has none. Then the service has to say that the log does not go on from here.
    const isLost = isGone || candidates.some(({ seq }) => agreed !== undefined && seq > agreed.seq);
    const end = lastSeq ?? (isLost ? newest : await this.#restartedAt());
    if (end === undefined) return false;
    await this.#giveUp(agreed?.seq ?? Math.min(end, ...known.map(({ seq }) => seq - 1)));
    this.#options.onRestart();
    return true;
  }

  /** @returns the last entry of the log, if the service says that the log does not go on from where this device is */
  async #restartedAt(): Promise<number | undefined> {
    const { api, id } = this.#options;
    const { log } = this.#parts;
    try {
      await api.log(id, { after: log.where ?? log.position, limit: 1 });
      return undefined;
    } catch (error) {
      if (hasCode(error, 'log-restarted')) return lastSeqOf(error);
      if (error instanceof ProblemError) return undefined;
      throw error;
    }
  }

  /** Something is left that this caller has to `settle` first. */
  mustSettle({ isInvitation = true }: SettleOptions = {}): boolean {
    return this.isPending && !(this.#isInviting && isInvitation);
  }

  /**
   * Does what is left to do after a restart: joins again without a state, commits lost removals before anything is sent, then
   * lost additions, and sends the own lost messages again.
   * @throws RestartPendingError if other members have to act first
   */
  settle(caller: SettleOptions = {}): Promise<void> {
    if (!this.mustSettle(caller)) return Promise.resolve();
    this.#settling ??= this.#settle().finally(() => (this.#settling = undefined));
    return this.#settling;
  }

  async #settle(): Promise<void> {
    for (let round = 1; this.isPending; round++) {
      try {
        await this.#joinAgain();
        await this.#commitFirst();
        await this.#invite(this.#missing(true));
        await this.#gather();
        await this.#sendAgain();
        await this.#inviteForOthers();
        await this.#finish();
        if (round >= MAX_ROUNDS) throw new RestartPendingError(this.#options.id, undefined);
      } catch (error) {
        // This member may not remove those who have to be removed first.
        if (hasCode(error, 'not-allowed')) throw new RestartPendingError(this.#options.id, error);
        // The log was restarted once more, which the turn has noticed.
        if (!hasCode(error, 'log-restarted') || round >= MAX_ROUNDS) throw error;
      }
    }
  }

  async #giveUp(agreed: number): Promise<void> {
    const { log } = this.#parts;
    const isDead = log.chain.epochSeq > agreed || log.restart?.isDead === true;
    const members = devicesOf(log.view);
    const { commits, messages } = await log.lose(agreed, isDead);
    log.restart = { agreed, isDead, ...lostChanges(commits, members, log.restart) };
    await log.save();
    log.tell({ type: 'log-restarted', agreed, messages, isDead });
  }

  async #compare(positions: readonly ChainPosition[]): Promise<ChainPosition | undefined> {
    const texts = new Map(positions.map((position) => [positionText(position), position]));
    const agreed = await this.#options.api.positions(this.#options.id, [...texts.keys()]);
    return agreed === undefined ? undefined : texts.get(agreed);
  }

  /** A device without a state joins by external commit, after one that has a state, if there is one. */
  async #joinAgain(): Promise<void> {
    const { log, repair, inTurn } = this.#parts;
    if (log.restart?.isDead !== true) return;
    const devices = log.view.leaves.size;
    const end = Date.now() + JOIN_AFTER_MS + Math.random() * JOIN_SPREAD_MS * Math.min(devices, MAX_JOINS);
    let isCommitted = await this.#isCommitted();
    while (!isCommitted && Date.now() < end) {
      await sleep(POLL_MS);
      isCommitted = await this.#isCommitted();
    }
    if (!isCommitted && devices > MAX_JOINS) return this.#replace(undefined);
    try {
      await inTurn(async () => {
        // Another task may have joined, and a crash may have lost the answer to a join.
        if (log.restart?.isDead !== true || (await log.adoptPendingCommit())) return;
        await repair.rejoin({ kind: 'log-restarted' });
      });
    } catch (error) {
      if (hasCode(error, 'group-info-missing', 'not-allowed')) return this.#replace(error);
      // Lost commits had added this user. A member that knows it adds the user again.
      if (!hasCode(error, 'not-found', 'removed')) throw error;
      log.hasLeft = true;
      await log.save();
    }
  }

  /** Is there a commit of the time after the restart? */
  async #isCommitted(): Promise<boolean> {
    const { api, id } = this.#options;
    try {
      const after = this.#parts.log.where ?? this.#parts.log.position;
      const page = await api.log(id, { after, kind: 'commit', limit: 1 });
      return page.entries.length > 0;
    } catch (error) {
      if (!hasCode(error, 'not-found', 'removed', 'history-truncated')) throw error;
      return true;
    }
  }

  /**
   * Removes who was removed before. Where nobody has to be removed, and nobody has committed since the restart, commits new
   * keys: those without a state join the epoch that begins so, and no message has to bridge the keys of lost ones.
   */
  async #commitFirst(): Promise<void> {
    const { log, repair, commits, inTurn } = this.#parts;
    const plan: Plan = (view) => {
      const { removals = [], agreed = 0 } = log.restart ?? {};
      return planLostRemovals(removals)(view) ?? (log.chain.epochSeq > agreed ? undefined : planUpdate(view));
    };
    await inTurn(() => repair.catchUp());
    if (!this.isPending || plan(log.view) === undefined) return;
    if (log.restart?.removals.length === 0) await sleep(Math.random() * COMMIT_SPREAD_MS);
    await inTurn(async () => {
      await repair.catchUp();
      if (this.isPending && !log.isDead) await commits.commit(plan);
    });
  }

  /**
   * Waits for the other devices that have to join again: a device can read nothing of the time before it has joined. Does not wait
   * for those that are offline.
   */
  async #gather(): Promise<void> {
    const { log, repair, inTurn } = this.#parts;
    const start = Date.now();
    let { epochSeq } = log.chain;
    let end = start + JOIN_AFTER_MS + JOIN_SPREAD_MS * Math.min(log.view.leaves.size, MAX_JOINS) + QUIET_MS;
    while (this.isPending && Date.now() < Math.min(end, start + MAX_GATHER_MS)) {
      const isAbsent = (device: string): boolean => device !== log.ownKey && !log.heard.has(device);
      if (![...devicesOf(log.view).keys()].some(isAbsent)) return;
      await sleep(POLL_MS);
      await inTurn(() => repair.catchUp());
      if (log.chain.epochSeq !== epochSeq) end = Math.max(end, Date.now() + QUIET_MS);
      ({ epochSeq } = log.chain);
    }
  }

  /** Users whom lost commits had added: only those that this device had added, or all. */
  #missing(isOwn: boolean): string[] {
    const { log } = this.#parts;
    const adds = log.restart?.adds.filter((add) => add.isOwn || !isOwn) ?? [];
    return this.isPending ? missingUsers(devicesOf(log.view), adds) : [];
  }

  async #inviteForOthers(): Promise<void> {
    const { repair, inTurn } = this.#parts;
    const end = Date.now() + INVITE_AFTER_MS * (1 + Math.random());
    while (this.#missing(false).length > 0 && Date.now() < end) {
      await sleep(POLL_MS);
      await inTurn(() => repair.catchUp());
    }
    await this.#invite(this.#missing(false));
  }

  /** Adds users again. One that the service does not let in is left to the app. */
  async #invite(users: readonly string[]): Promise<void> {
    const { log } = this.#parts;
    if (users.length === 0) return;
    this.#isInviting = true;
    try {
      await this.#options.invite(users);
    } catch (error) {
      if (!isRefusal(error) || hasCode(error, 'log-restarted')) throw error;
    } finally {
      this.#isInviting = false;
    }
    const adds = log.restart?.adds.filter(({ user }) => !users.includes(user)) ?? [];
    if (log.restart !== undefined) log.restart = { ...log.restart, adds };
  }

  /** Sends the own messages that are not in the log any more, encrypted anew: the same bytes would be of no use. */
  async #sendAgain(): Promise<void> {
    const { log, repair, inTurn, send, deliverNext } = this.#parts;
    await inTurn(async () => {
      await repair.catchUp();
      if (!this.#isSafe()) return; // the next round removes first
      for (const { id, text } of log.ownLost) await send(text, id);
    });
    // Then those that the device had not read in the log before it was cut.
    const sendNext = async (): Promise<boolean> => this.#isSafe() && log.hasLostInOutbox && (await deliverNext());
    while (await inTurn(sendNext));
    await inTurn(() => repair.catchUp());
  }

  async #finish(): Promise<void> {
    const { log, inTurn } = this.#parts;
    await inTurn(async () => {
      if (!this.#isSafe() || log.ownLost.length > 0 || log.hasLostInOutbox) return;
      log.restart = undefined;
      await log.save();
    });
  }

  /** The device has a state, and nobody is in the group whom a lost commit had removed. */
  #isSafe(): boolean {
    const { log } = this.#parts;
    if (!this.isPending || log.isDead) return false;
    return planLostRemovals(log.restart?.removals ?? [])(log.view) === undefined;
  }

  /** Has a new group take over: this device cannot join the old one, or too many would have to. */
  async #replace(cause: unknown): Promise<void> {
    const { log } = this.#parts;
    const { api, id } = this.#options;
    const { agreed = 0, removals = [], adds = [] } = log.restart ?? {};
    const report = { seq: agreed, epoch: log.epoch, reason: 'the log was restarted, and this device has no state' };
    // Where enough members report it, any of them may make the successor. An admin may at once.
    await api.report(id, report).catch((error: unknown) => {
      if (!(error instanceof ProblemError)) throw error;
    });
    const without = [...new Set(removals.filter(({ isWholeUser }) => isWholeUser).map(({ user }) => user))];
    const including = missingUsers(new Map(), adds);
    try {
      await this.#options.replace({ without, including });
    } catch (error) {
      throw new RestartPendingError(id, cause ?? error);
    }
    log.hasLeft = true;
    await log.save();
  }
}

/** Removes the devices that lost commits had removed. */
function planLostRemovals(removals: readonly LostRemoval[]): Plan {
  return (view) => {
    const leaves = zombies(devicesOf(view), removals)
      .map((key) => leafWithKey(view, key))
      .filter((leaf) => leaf !== undefined && leaf !== view.ownLeaf);
    return leaves.length === 0 ? undefined : leaves.map((leaf) => removeProposal(leaf ?? 0));
  };
}
