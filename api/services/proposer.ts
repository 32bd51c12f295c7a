import type pg from 'pg';
import type { ConversationId } from '../../domain/ids.ts';
import { readCurrentGroupInfo } from '../../store/group-info/group-info.ts';
import { storedTree } from '../../mls/tree.ts';
import { checkSender } from '../../mls/commit-against-tree.ts';
import type { Framing, PublicProposal } from '../../mls/framing.ts';

/**
 * Checks that a public proposal of a member comes from a leaf of the caller in the ratchet tree of the current epoch. It
 * checks nothing if this tree is not stored, or if the proposal is for another epoch.
 * @throws AppError `identity-mismatch`
 */
export type CheckProposer = (
  conversation: ConversationId,
  sent: { readonly framing: Framing; readonly proposal: PublicProposal },
  user: string,
) => Promise<void>;

export function makeCheckProposer(pool: pg.Pool, treeCheckMaxBytes: number): CheckProposer {
  return async (id, { framing, proposal }, user) => {
    if (proposal.sender.type !== 'member') return;
    const current = await readCurrentGroupInfo(pool, id);
    if (current === undefined || framing.epoch === undefined) return;
    const stored = storedTree(current, framing.epoch, treeCheckMaxBytes);
    if (stored !== undefined) checkSender(stored, proposal.sender.leafIndex, user);
  };
}
