import { AppError } from '../domain/errors.ts';
import type { PublicCommit } from './external-commit.ts';
import { FrameError, parseFrame } from './frame.ts';
import { verifySignatureNow } from './signature.ts';
import type { GroupState } from './stored-group.ts';
import { suiteOf } from './suite.ts';
import { vector } from './vector.ts';

const LABEL = vector(Buffer.from('MLS 1.0 Proposal Reference'));

/**
 * Puts SelfRemoves in the place of the references in an external commit (MLS extensions draft: they are the only proposals that
 * it may refer to). A joiner knows them because they are public. Each has the leaf that it removes, and a valid signature of it.
 * @param proposals public proposals of the epoch, as MLSMessages
 * @throws AppError `malformed` for a reference to anything else
 */
export function withSelfRemoves(
  commit: PublicCommit,
  { info, tree }: Pick<GroupState, 'info' | 'tree'>,
  proposals: readonly Uint8Array[],
): PublicCommit {
  if (commit.proposals.every(({ type }) => type !== 'reference')) return commit;
  const { cipherSuite, context } = info;
  const suite = suiteOf(cipherSuite);
  const known = new Map<string, Uint8Array>();
  for (const bytes of suite === undefined ? [] : proposals) {
    // From the wire format to the signature: an AuthenticatedContent (RFC 9420 §5.2, §6.1).
    const frame = parseFrame(bytes);
    if (frame instanceof FrameError || frame.wireFormat !== 'public_message') continue;
    known.set(suite?.hash(LABEL, vector(frame.transcript)).toString('hex') ?? '', bytes);
  }
  const removedBy = (reference: Uint8Array): number => {
    const frame = parseFrame(known.get(Buffer.from(reference).toString('hex')) ?? new Uint8Array());
    const isProposal = !(frame instanceof FrameError) && 'proposal' in frame;
    if (!isProposal || frame.proposal.type !== 'self_remove' || frame.sender.type !== 'member') return refuse();
    const leaf = tree.leaves[frame.sender.leafIndex];
    const { signature } = frame;
    const content = Buffer.concat([frame.signed, context]);
    const publicKey = leaf?.signatureKey ?? new Uint8Array();
    const verdict = verifySignatureNow('FramedContentTBS', { cipherSuite, publicKey, content, signature });
    return leaf !== undefined && verdict === 'valid' ? frame.sender.leafIndex : refuse();
  };
  return {
    ...commit,
    proposals: commit.proposals.map((one) =>
      one.type === 'reference' ? { type: 'self_remove', removed: removedBy(one.reference) } : one,
    ),
  };
}

function refuse(): never {
  throw new AppError('malformed', 'An external commit may refer only to SelfRemove proposals of this epoch');
}
