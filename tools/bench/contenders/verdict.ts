import type { PeerCommand, PeerOutcome } from './command.ts';

/** What a contender knows about the conversation and the command before it writes. */
export interface Facts {
  readonly epoch: number;
  /** How many epochs a message may be late. */
  readonly window: number;
  readonly isMember: boolean;
  /** The entry that has the id of the command already. */
  readonly earlier?: {
    readonly seq: number;
    readonly epoch: number;
    readonly at: Date;
    /** Same kind, sender and bytes. */
    readonly isSame: boolean;
  };
}

/** Why a command is not stored, in the order of checks that every contender keeps: `undefined` = it may be stored. */
export function refusalOf(command: PeerCommand, facts: Facts): PeerOutcome | undefined {
  const { epoch: currentEpoch, window, isMember, earlier } = facts;
  if (!isMember) return { status: 'refused', code: 'not-found' };
  if (earlier !== undefined) {
    if (!earlier.isSame) return { status: 'refused', code: 'id-reused' };
    return answer(command, 'duplicate', earlier);
  }
  const submittedEpoch = command.epoch ?? currentEpoch;
  if (submittedEpoch > currentEpoch) return { status: 'refused', code: 'epoch-ahead', currentEpoch, submittedEpoch };
  if (command.kind === 'commit') {
    return submittedEpoch < currentEpoch
      ? { status: 'refused', code: 'epoch-conflict', currentEpoch, submittedEpoch }
      : undefined;
  }
  return submittedEpoch < currentEpoch - window
    ? { status: 'refused', code: 'epoch-too-old', currentEpoch, submittedEpoch }
    : undefined;
}

/** @param entry as stored: the epoch of a commit is the one that it ends, and its answer names the one that it starts */
export function answer(
  { kind, sha256 }: PeerCommand,
  status: 'accepted' | 'duplicate',
  { seq, epoch, at }: { readonly seq: number; readonly epoch: number; readonly at: Date },
): PeerOutcome {
  return kind === 'message' ? { status, seq, epoch } : { status, seq, epoch: epoch + 1, sha256, at: at.toISOString() };
}
