import type { ParleyClient } from '../api/parley-client.ts';
import { hasCode, ProblemError } from '../api/problem.ts';
import type { Entry } from '../api/types.ts';
import { newId } from '../platform/bytes.ts';
import { IdentityChangedError } from './commit-check.ts';
import type { GroupLog, Joined } from './group-log.ts';
import { UnprocessableEntry } from './group-log.ts';
import type { BeforeCommit, JoinContext } from './joining.ts';

/** Why a device joined a group again by external commit. */
export type RejoinReason =
  /** The app called `resync` or `joinExternally`. */
  | { readonly kind: 'requested' }
  /** The device could not process this commit; `cause` says why. */
  | { readonly kind: 'unprocessable-entry'; readonly seq: number; readonly epoch: number; readonly cause: unknown }
  /** The service lost a commit that the device had followed. */
  | { readonly kind: 'log-restarted' }
  /** Retention deleted entries that the device had not read. */
  | { readonly kind: 'history-truncated' }
  /** The MLS library refused the Welcome. */
  | { readonly kind: 'welcome-refused'; readonly cause: unknown }
  /** The device does not have the secrets of the key package that the Welcome is for. */
  | { readonly kind: 'key-package-unknown' };

export interface RepairOptions {
  readonly api: Pick<ParleyClient, 'report'>;
  /** Conversation id. */
  readonly id: string;
  /** Joins again by external commit, as the same device. */
  readonly rejoin: (join: Pick<JoinContext, 'beforeCommit' | 'stated' | 'knownEpoch'>) => Promise<Joined>;
  /** Called after each rejoin. */
  readonly onRejoin: (reason: RejoinReason) => void;
}

const MAX_REPAIRS = 3;
const MAX_REASON_CHARACTERS = 200;

/** Reads the log; if the device cannot process an entry, reports the entry and joins the group again. */
export class GroupRepair {
  /** Entries that this device could not process. */
  readonly stuckAt: UnprocessableEntry[] = [];
  readonly #options: RepairOptions;
  readonly #log: GroupLog;

  constructor(options: RepairOptions, log: GroupLog) {
    this.#options = options;
    this.#log = log;
  }

  async catchUp(): Promise<void> {
    await this.#withRepair(() => this.#log.catchUp());
  }

  async process(entry: Entry): Promise<void> {
    await this.#withRepair(() => this.#log.process(entry));
  }

  /** Drops the state and joins again. */
  async rejoin(reason: RejoinReason): Promise<void> {
    const beforeCommit: BeforeCommit = async (commit, next) => {
      this.#log.pendingCommits.set(commit, next);
      await this.#log.save();
    };
    const id = newId();
    const stated = { id, authenticatedData: this.#log.stated(id), ...this.#log.stance };
    const { knownEpoch } = this.#log;
    await this.#log.rejoin(await this.#options.rejoin({ beforeCommit, stated, knownEpoch }));
    this.#options.onRejoin(reason);
  }

  async #withRepair(read: () => Promise<void>): Promise<void> {
    for (let repairs = 0; ; repairs++) {
      try {
        await read();
        return;
      } catch (error) {
        const isStuck = error instanceof UnprocessableEntry;
        // The device had rejoined already, but crashed before it got the answer.
        if (isStuck && (await this.#log.adoptPendingCommit())) continue;
        if (isStuck) await this.#report(error);
        const reason = rejoinReason(error);
        if (reason === undefined || repairs >= MAX_REPAIRS) throw error;
        await this.#tryRejoin(reason);
      }
    }
  }

  /** Joins again. If the user was removed meanwhile, the device is out of the group; this is not a failure of reading. */
  async #tryRejoin(reason: RejoinReason): Promise<void> {
    try {
      await this.rejoin(reason);
    } catch (error) {
      if (!hasCode(error, 'removed', 'not-found')) throw error;
      this.#log.hasLeft = true;
      await this.#log.save();
    }
  }

  /** Reports the entry to the service. If most members report it, any of them may reset the conversation. */
  async #report(error: UnprocessableEntry): Promise<void> {
    if (this.stuckAt.at(-1)?.entry.seq === error.entry.seq) return; // reported before
    this.stuckAt.push(error);
    const { api, id } = this.#options;
    const { epoch, view } = this.#log;
    const reason = error.message.replaceAll(/[^\x20-\x7e]/g, ' ').slice(0, MAX_REASON_CHARACTERS);
    const report = { seq: error.entry.seq, epoch, reason, epochAuthenticator: view.epochAuthenticator };
    try {
      await api.report(id, report);
    } catch (refusal) {
      // The device has to rejoin the group even if the service refuses its report.
      if (!(refusal instanceof ProblemError)) throw refusal;
    }
  }
}

/** Why the device has to rejoin after this error; `undefined` if a rejoin does not help or is not safe. */
function rejoinReason(error: unknown): RejoinReason | undefined {
  if (hasCode(error, 'history-truncated')) return { kind: 'history-truncated' };
  if (!(error instanceof UnprocessableEntry)) return undefined;
  // A rejoin would accept the tree with the identity that this device has just refused.
  if (error.cause instanceof IdentityChangedError) return undefined;
  return { kind: 'unprocessable-entry', seq: error.entry.seq, epoch: error.entry.epoch, cause: error.cause };
}
