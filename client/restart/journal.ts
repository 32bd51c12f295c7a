import { devicesOf } from '../mls/leaves.ts';
import type { GroupView } from '../mls/mls-library.ts';

/** A device in a group: its user and its signature key (base64). */
export interface GroupDevice {
  readonly user: string;
  readonly key: string;
}

/** What one commit did to the group. */
export interface CommitNote {
  readonly seq: number;
  /** The epoch that it ended. */
  readonly epoch: number;
  /** This device made it. */
  readonly isOwn: boolean;
  readonly added: readonly GroupDevice[];
  readonly removed: readonly GroupDevice[];
}

/** What a device remembers of the log for the case that the service loses its end. */
export interface JournalRecord {
  /** In log order, the newest ones. */
  readonly commits: readonly CommitNote[];
  /** `seq` of the proposals that wait for a commit, by ProposalRef. */
  readonly proposals: ReadonlyMap<string, number>;
}

/** Commits that are remembered. A restore that takes more of them away is told all the same, but not all of what they did. */
const KEPT_COMMITS = 256;

/** Notes what the entries of the log did: a log that was cut no longer says it. */
export class Journal implements JournalRecord {
  readonly #commits: CommitNote[];
  readonly #proposals: Map<string, number>;

  constructor({ commits, proposals }: JournalRecord) {
    this.#commits = [...commits];
    this.#proposals = new Map(proposals);
  }

  get commits(): readonly CommitNote[] {
    return this.#commits;
  }

  get proposals(): ReadonlyMap<string, number> {
    return this.#proposals;
  }

  /** The commit `seq` led from one state to the next. */
  noteCommit(before: GroupView, after: GroupView, seq: number, isOwn: boolean): void {
    const [old, current] = [devicesOf(before), devicesOf(after)];
    const added = [...current].filter(([key]) => !old.has(key)).map(([key, user]) => ({ key, user }));
    const removed = [...old].filter(([key]) => !current.has(key)).map(([key, user]) => ({ key, user }));
    this.#commits.push({ seq, epoch: after.epoch - 1, isOwn, added, removed });
    this.#commits.splice(0, this.#commits.length - KEPT_COMMITS);
    this.#proposals.clear();
  }

  /** The entry `seq` brought these proposals, as far as they were not there before. */
  noteProposals({ proposals }: Pick<GroupView, 'proposals'>, seq: number): void {
    for (const ref of proposals.keys()) if (!this.#proposals.has(ref)) this.#proposals.set(ref, seq);
  }

  /** Everything above `seq` is lost. @returns what is not in the log any more */
  lose(seq: number): { readonly commits: readonly CommitNote[]; readonly proposals: ReadonlySet<string> } {
    const first = this.#commits.findIndex((commit) => commit.seq > seq);
    const commits = first === -1 ? [] : this.#commits.splice(first);
    const proposals = new Set([...this.#proposals].filter(([, at]) => at > seq).map(([ref]) => ref));
    for (const ref of proposals) this.#proposals.delete(ref);
    return { commits, proposals };
  }
}
