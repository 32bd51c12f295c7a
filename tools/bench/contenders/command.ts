import type { Submission } from '../../../dispatch/submission.ts';
import { AppError } from '../../../domain/errors.ts';
import type { Outcome } from '../../../domain/outcome.ts';

/** An application message or an opaque commit: what every contender can decide. */
export interface PeerCommand {
  readonly kind: 'message' | 'commit';
  readonly conversation: string;
  readonly user: string;
  readonly id: string;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Of the message, or the one that the commit ends. Absent = the current one. */
  readonly epoch?: number;
  readonly ciphertext: Uint8Array;
}

export type PeerOutcome = Outcome<'message' | 'commit'>;

/** A command in JSON, with its bytes in base64, as typical code hands it to another process. */
export interface WireCommand extends Omit<PeerCommand, 'ciphertext'> {
  readonly ciphertext: string;
}

/** @throws AppError `internal` for anything but a message or a commit that only moves the epoch */
export function peerCommand({ conversation, command }: Submission): PeerCommand {
  const { kind, id, actor: user } = command;
  if ((kind !== 'message' && kind !== 'commit') || command.sha256 === undefined || command.bytes === undefined) {
    throw new AppError('internal', 'The contenders take only messages and commits');
  }
  const { sha256, epoch, bytes } = command;
  return {
    kind,
    conversation,
    user,
    id,
    sha256,
    ...(epoch === undefined ? {} : { epoch }),
    ciphertext: bytes.ciphertext,
  };
}

export function toWire({ ciphertext, ...command }: PeerCommand): WireCommand {
  return { ...command, ciphertext: Buffer.from(ciphertext).toString('base64') };
}

export function fromWire({ ciphertext, ...command }: WireCommand): PeerCommand {
  return { ...command, ciphertext: Buffer.from(ciphertext, 'base64') };
}
