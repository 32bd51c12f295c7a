import { base64url } from './ids.ts';

/**
 * A place in a log: after its entry `seq`; 0 = before all. With its mark it stands for the whole log up to there, so the service can
 * say whether a reader has this log (docs/reference/log-chain.md). Without one it is a plain seq, which says nothing of that.
 */
interface Position {
  readonly seq: number;
  /** First bytes of the value of the chain at `seq`: 12 of them, as base64url. */
  readonly mark?: string;
}

/** Characters of a mark: base64url of 12 bytes, so no bits are left over, and each mark has one spelling. */
const MARK_CHARACTERS = 16;

/** `<seq>.<mark>`, or `<seq>` without a mark. */
export function formatPosition({ seq, mark }: Position): string {
  return mark === undefined ? String(seq) : `${seq}.${mark}`;
}

/** @param chain value of the chain at `seq`, 32 bytes. `null`: there is none, because the entry is older than the chain */
export function positionAt(seq: number, chain: Uint8Array | null): Position {
  return chain === null ? { seq } : { seq, mark: markOf(chain) };
}

/** The mark of a value of the chain. */
function markOf(chain: Uint8Array): string {
  return base64url(chain.subarray(0, (MARK_CHARACTERS * 6) / 8));
}
