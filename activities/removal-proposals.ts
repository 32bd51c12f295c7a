import { createHash, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { externalRemove, externalSenderKeys } from '../mls/external-sender.ts';
import { leafName } from '../mls/leaf-changes.ts';
import { type GroupState, readStoredGroup } from '../mls/stored-group.ts';
import { userOf } from '../mls/tree.ts';
import { unseal } from '../process/sealed.ts';
import { readGroupInfoVersion, readStoredGroupInfo } from '../store/group-info/group-info.ts';
import {
  type Removal,
  type RemovalNews,
  type RemovalProposal,
  leavesToRemove,
  proposeRemoval,
} from '../store/off-boarding/removals.ts';
import { SENDER_SCHEMES, type SenderKey, readSenderKeys } from '../store/off-boarding/sender-keys.ts';

export interface RemovalProposalDeps {
  readonly pool: pg.Pool;
  /** Opens the stored signature keys. `undefined` = this service is no external sender. */
  readonly senderSecret: string | undefined;
  /** Ratchet trees up to this size in bytes are read. */
  readonly maxTreeBytes: number;
  /** A stored key cannot be opened: another secret sealed it. */
  readonly onSealed: (error: unknown) => void;
}

/**
 * Proposes a removal in the current epoch of its group. Where the group does not list the service as an external sender, or has no tree
 * that was checked, members are told by an event instead: a tree that is a lie could name a leaf of somebody else.
 * @returns `undefined` = nothing changed for streams
 * @throws the database's error; the removal waits for the next try
 */
export async function issueRemoval(deps: RemovalProposalDeps, removal: Removal): Promise<RemovalNews | undefined> {
  const { pool, maxTreeBytes } = deps;
  const version = await readGroupInfoVersion(pool, removal.conversation);
  const epoch = version?.epoch ?? 0;
  const isStored = (version?.version ?? null) !== null;
  const stored = isStored ? await readStoredGroupInfo(pool, removal.conversation, epoch) : undefined;
  const group =
    stored?.isChecked === true
      ? readStoredGroup({ ...stored, epoch, tree: stored.tree ?? undefined }, maxTreeBytes)
      : undefined;
  const proposals = group === undefined ? [] : await makeProposals(deps, removal, group, epoch);
  return proposeRemoval(pool, removal, epoch, proposals);
}

async function makeProposals(
  { pool, senderSecret, onSealed }: RemovalProposalDeps,
  removal: Removal,
  { info, suite, tree }: GroupState,
  epoch: number,
): Promise<RemovalProposal[]> {
  const scheme = SENDER_SCHEMES.find((name) => name === suite?.signature);
  if (senderSecret === undefined || scheme === undefined) return [];
  const listed = externalSenderKeys(info.contextExtensions).map((key) => Buffer.from(key));
  const keys = listed.length === 0 ? [] : await readSenderKeys(pool, scheme);
  const senderIndex = listed.findIndex((key) => keys.some(({ publicKey }) => publicKey.equals(key)));
  const key = keys.find(({ publicKey }) => listed[senderIndex]?.equals(publicKey));
  if (key === undefined) return [];
  const privateKey = open(senderSecret, key, onSealed);
  if (privateKey === undefined) return [];
  const leaves = await leafIndexes(pool, removal, tree.leaves);
  return leaves.map((removed) => {
    const bytes = externalRemove(
      { groupId: info.groupId, epoch, senderIndex, removed },
      { algorithm: scheme, privateKey },
    );
    return { id: `removal-${randomUUID()}`, sha256: createHash('sha256').update(bytes).digest(), bytes };
  });
}

function open(
  secret: string,
  { publicKey, sealed }: SenderKey,
  onSealed: (error: unknown) => void,
): Buffer | undefined {
  try {
    return unseal(secret, publicKey, sealed);
  } catch (error) {
    onSealed(error);
    return undefined;
  }
}

/** Leaf indexes of a user, or of a device whose leaves are known by their keys. */
async function leafIndexes(pool: pg.Pool, removal: Removal, leaves: GroupState['tree']['leaves']): Promise<number[]> {
  const names =
    removal.device === ''
      ? undefined
      : new Set((await leavesToRemove(pool, removal)).map((name) => name.toString('hex')));
  return leaves.flatMap((leaf, index) => {
    if (leaf === undefined || userOf(leaf) !== removal.user) return [];
    if (names === undefined) return [index];
    return names.has(leafName(leaf)) ? [index] : [];
  });
}
