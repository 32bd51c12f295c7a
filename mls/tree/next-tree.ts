import { AppError } from '../../domain/errors.ts';
import type { LeafNode, ParentNode } from '../frame.ts';
import { type PublicCommit, removedLeaves } from '../external-commit.ts';
import type { Suite } from '../suite.ts';
import { parentHash } from './parent-hash.ts';
import { type RatchetTree, isEmpty, parentAt, parentNode } from './ratchet-tree.ts';
import { treeHashes } from './tree-hash.ts';
import { directPath, siblingOf, widthFor } from './tree-math.ts';

/** A ratchet tree after a commit. */
export interface NextTree {
  readonly tree: RatchetTree;
  /** Whether the parent hash of the new leaf is right (RFC 9420 §7.9.2); true without a path. */
  readonly isParentHashRight: boolean;
}

/** Whether the service knows the effect of all proposals in a commit on the tree. References and custom ones hide theirs. */
export function isTreeKnownAfter({ proposals }: PublicCommit): boolean {
  return proposals.every(
    (one) =>
      !['reference', 'custom', 'update'].includes(one.type) &&
      (one.type !== 'self_remove' || one.removed !== undefined),
  );
}

/**
 * Computes the ratchet tree after a public commit (RFC 9420 §7.5, §7.7, §12.4.2). The order is: removals, additions, then
 * the committer's path.
 * @throws AppError `group-info-mismatch` if the path does not have one key for each node of the filtered direct path
 */
export function treeAfter(before: RatchetTree, commit: PublicCommit, suite: Suite): NextTree {
  const { sender, proposals, path, pathKeys } = commit;
  const draft: Draft = { width: before.width, leaves: [...before.leaves], parents: [...before.parents] };
  const added = proposals.flatMap((proposal) => (proposal.type === 'add' ? [proposal.keyPackage.leaf] : []));
  if (sender.type === 'new_member_commit' && path !== undefined) added.push(path);
  remove(draft, removedLeaves(proposals));
  const indexes = add(draft, added);
  const committer = sender.type === 'member' ? sender.leafIndex : (indexes.at(-1) ?? 0);
  if (path === undefined) return { tree: draft, isParentHashRight: true };
  const isParentHashRight = applyPath(draft, committer, { leaf: path, keys: pathKeys }, suite);
  return { tree: draft, isParentHashRight };
}

interface Draft {
  width: number;
  leaves: (LeafNode | undefined)[];
  parents: (ParentNode | undefined)[];
}

function setParent({ parents }: Draft, node: number, parent: ParentNode | undefined): void {
  parents[(node - 1) / 2] = parent;
}

/** Removes leaves, blanks the parents above them, and halves the tree while its right half is blank (RFC 9420 §7.7). */
function remove(draft: Draft, removed: readonly number[]): void {
  for (const leaf of removed) {
    if (leaf >= draft.width) continue;
    draft.leaves[leaf] = undefined;
    for (const node of directPath(leaf, draft.width)) setParent(draft, node, undefined);
  }
  if (removed.length === 0) return;
  let last = draft.leaves.length - 1;
  while (last > 0 && draft.leaves[last] === undefined) last--;
  resize(draft, widthFor(last + 1));
}

/** Adds leaves, each at the leftmost blank one, as unmerged leaves of the parents above (RFC 9420 §7.7). */
function add(draft: Draft, added: readonly LeafNode[]): number[] {
  let at = 0;
  const indexes = added.map((leaf) => {
    while (draft.leaves[at] !== undefined) at++;
    if (at >= draft.width) resize(draft, 2 * draft.width);
    draft.leaves[at] = leaf;
    return at;
  });
  const news = new Map<number, number[]>();
  for (const index of indexes) {
    for (const node of directPath(index, draft.width)) {
      if (parentAt(draft, node) === undefined) continue;
      const list = news.get(node);
      if (list === undefined) news.set(node, [index]);
      else list.push(index);
    }
  }
  for (const [node, more] of news) {
    const parent = parentAt(draft, node);
    if (parent === undefined) continue;
    const unmergedLeaves = [...parent.unmergedLeaves, ...more].sort((a, b) => a - b);
    setParent(draft, node, parentNode({ ...parent, unmergedLeaves }));
  }
  return indexes;
}

function resize(draft: Draft, width: number): void {
  draft.leaves = Array.from({ length: width }, (_, index) => draft.leaves[index]);
  draft.parents = Array.from({ length: width - 1 }, (_, index) => draft.parents[index]);
  draft.width = width;
}

/** Puts a path into the tree (RFC 9420 §7.5, §7.9). @returns whether the parent hash of the leaf is right */
function applyPath(
  draft: Draft,
  leafIndex: number,
  { leaf, keys }: { readonly leaf: LeafNode; readonly keys: readonly Uint8Array[] },
  suite: Suite,
): boolean {
  draft.leaves[leafIndex] = leaf;
  const path = directPath(leafIndex, draft.width);
  for (const node of path) setParent(draft, node, undefined);
  // The sibling of the node before on the path, from the leaf on. A parent whose other half is empty has no key.
  const below = [2 * leafIndex, ...path];
  const filtered = path
    .map((node, i) => ({ node, sibling: siblingOf(below[i] ?? 0) }))
    .filter(({ sibling }) => !isEmpty(draft, sibling));
  if (filtered.length !== keys.length) {
    throw new AppError('group-info-mismatch', 'The path of the commit does not fit the ratchet tree');
  }
  const hashes = treeHashes(draft, suite);
  let above: Buffer = Buffer.alloc(0);
  for (let i = filtered.length - 1; i >= 0; i--) {
    const [step, encryptionKey] = [filtered[i], keys[i]];
    if (step === undefined || encryptionKey === undefined) continue;
    const parent = parentNode({ encryptionKey, parentHash: above, unmergedLeaves: [] });
    setParent(draft, step.node, parent);
    above = parentHash(suite, parent, hashes[step.sibling] ?? Buffer.alloc(0));
  }
  return leaf.parentHash !== undefined && above.equals(leaf.parentHash);
}
