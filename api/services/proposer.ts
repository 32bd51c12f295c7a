import type { JobOwner, Jobs } from '../../compute/jobs.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Framing, PublicProposal } from '../../mls/framing.ts';
import { ownerAt } from '../../mls/stored-group.ts';
import type { GroupStates } from './group-states.ts';

/**
 * Checks that a public proposal of a member comes from a leaf of the caller in the ratchet tree of the current epoch. Where
 * the context of this epoch is proven, its signature must be valid too. It checks nothing if this tree is not stored, or if
 * the proposal is for another epoch.
 * @returns whether the proposal is verified; `undefined` if there is nothing to verify
 * @throws AppError `identity-mismatch`, `epoch-ahead` without the current epoch
 */
export type CheckProposer = (
  conversation: ConversationId,
  sent: { readonly framing: Framing; readonly proposal: PublicProposal },
  owner: JobOwner,
) => Promise<boolean | undefined>;

export function makeCheckProposer(states: GroupStates, jobs: Jobs): CheckProposer {
  return async (id, { framing, proposal }, caller) => {
    const { sender, signed, signature } = proposal;
    if (sender.type !== 'member' || framing.epoch === undefined) return undefined;
    const current = await states.facts(id, caller);
    if (current !== undefined && framing.epoch > current.epoch) {
      // This epoch may be the current one at the time of the decision. Then nobody would have checked the sender.
      throw new AppError('epoch-ahead', undefined, { submittedEpoch: framing.epoch });
    }
    if (current?.facts === undefined || framing.epoch < current.epoch) return false;
    const { facts } = current;
    const { cipherSuite, context, isProven } = facts;
    const owner = ownerAt(facts, sender.leafIndex);
    if (owner?.user !== caller.user) throw new AppError('identity-mismatch', 'The sender leaf does not belong to you');
    if (!isProven) return false;
    const publicKey = owner.signatureKey;
    const verdict = await jobs.run('signature', caller, 'FramedContentTBS', { cipherSuite, publicKey, signature }, [
      signed,
      context,
    ]);
    if (verdict === 'invalid') throw new AppError('identity-mismatch', 'The signature of the proposal is not valid');
    return verdict === 'valid';
  };
}
