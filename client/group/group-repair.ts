import type { ParleyClient } from '../api/parley-client.ts';
import { IdentityChangedError } from './commit-check.ts';
import type { GroupLog } from './group-log.ts';
import { UnprocessableEntry } from './group-log.ts';
import type { JoinContext, Joined } from './joining.ts';
import { epochAuthenticator } from '../mls/tree.ts';
import { hasCode, ProblemError } from '../api/problem.ts';
import type { Entry } from '../api/types.ts';

export interface RepairOptions {
  readonly api: Pick<ParleyClient, 'report'>;
  /** Conversation id. */
  readonly id: string;
  /** Joins again by external commit, as the same device. */
  readonly rejoin: (beforeCommit: JoinContext['beforeCommit']) => Promise<Joined>;
}

const MAX_REPAIRS = 3;
const MAX_REASON_CHARACTERS = 200;

/** Reads the log, and gets the device back into the group when it cannot follow it. */
export class GroupRepair {
  /** Entries that it could not follow. */
  readonly stuckAt: UnprocessableEntry[] = [];
  readonly #options: RepairOptions;
  readonly #log: GroupLog;

  constructor(options: RepairOptions, log: GroupLog) {
    this.#options = options;
    this.#log = log;
  }

  async catchUp(): Promise<void> {
    await this.#repairing(async () => {
      await this.#log.catchUp();
    });
  }

  async take(entry: Entry): Promise<void> {
    await this.#repairing(() => this.#log.take(entry));
  }

  /** Drops the state and joins again. */
  async rejoin(): Promise<void> {
    const { state, seq } = await this.#options.rejoin(async (commit, next) => {
      this.#log.pending.set(commit, next);
      await this.#log.save();
    });
    await this.#log.rejoin(state, seq);
  }

  async #repairing(read: () => Promise<void>): Promise<void> {
    for (let repairs = 0; ; repairs++) {
      try {
        await read();
        return;
      } catch (error) {
        const isStuck = error instanceof UnprocessableEntry;
        // It had rejoined already, and did not live to see the answer.
        if (isStuck && (await this.#log.adoptPending())) continue;
        if (isStuck) await this.#report(error);
        // Joining again would mean to trust what was just found out to be false.
        const isUntrusted = isStuck && error.cause instanceof IdentityChangedError;
        const isMendable = (isStuck && !isUntrusted) || hasCode(error, 'history-truncated');
        if (!isMendable || repairs >= MAX_REPAIRS) throw error;
        await this.#comeBack();
      }
    }
  }

  /** Joins again; who was removed meanwhile is out, which is no failure of reading. */
  async #comeBack(): Promise<void> {
    try {
      await this.rejoin();
    } catch (error) {
      if (!hasCode(error, 'removed', 'not-found')) throw error;
      this.#log.wasCutOff = true;
      await this.#log.save();
    }
  }

  /** Tells the service: when most members report, any of them may reset the conversation. */
  async #report(error: UnprocessableEntry): Promise<void> {
    if (this.stuckAt.at(-1)?.entry.seq === error.entry.seq) return; // said before
    this.stuckAt.push(error);
    const { api, id } = this.#options;
    const { epoch, state } = this.#log;
    const reason = error.message.replaceAll(/[^\x20-\x7e]/g, ' ').slice(0, MAX_REASON_CHARACTERS);
    const report = { seq: error.entry.seq, epoch, reason, epochAuthenticator: epochAuthenticator(state) };
    try {
      await api.report(id, report);
    } catch (refusal) {
      // Whether or not it is heard, the device has to get back into the group.
      if (!(refusal instanceof ProblemError)) throw refusal;
    }
  }
}
