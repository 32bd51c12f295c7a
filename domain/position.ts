import { base64url } from './ids.ts';
import { MAX_SAFE_EPOCH } from './limits.ts';

/**
 * A place in a log: after its entry `seq`; 0 = before all. With its mark it stands for the whole log up to there, so the service can
 * say whether a reader has this log (docs/reference/log-chain.md). Without one it is a plain seq, which says nothing of that.
 */
export interface Position {
  readonly seq: number;
  /** First bytes of the value of the chain at `seq`: 12 of them, as base64url. */
  readonly mark?: string;
}

/** Characters of a mark: base64url of 12 bytes, so no bits are left over, and each mark has one spelling. */
const MARK_CHARACTERS = 16;
const POSITION = /^(\d{1,16})(?:\.([A-Za-z0-9_-]{16}))?$/;

/** What {@link parsePosition} accepts, for the OpenAPI document. */
export const POSITION_PATTERN = POSITION.source;

/** Parses `<seq>` or `<seq>.<mark>`. @returns undefined if it is neither */
export function parsePosition(text: string): Position | undefined {
  const [, digits, mark] = POSITION.exec(text) ?? [];
  const seq = Number(digits);
  if (digits === undefined || seq > MAX_SAFE_EPOCH) return undefined;
  return mark === undefined ? { seq } : { seq, mark };
}

/** A position as a field of a command, which has it as text; {} = none was stated. */
export function statedPosition(position: Position | undefined): { readonly position?: string } {
  return position === undefined ? {} : { position: formatPosition(position) };
}

/** `<seq>.<mark>`, or `<seq>` without a mark. */
export function formatPosition({ seq, mark }: Position): string {
  return mark === undefined ? String(seq) : `${seq}.${mark}`;
}

/** @param chain value of the chain at `seq`, 32 bytes. `null`: there is none, because the entry is older than the chain */
export function positionAt(seq: number, chain: Uint8Array | null): Position {
  return chain === null ? { seq } : { seq, mark: markOf(chain) };
}

/** The mark of a value of the chain. */
export function markOf(chain: Uint8Array): string {
  return base64url(chain.subarray(0, (MARK_CHARACTERS * 6) / 8));
}
