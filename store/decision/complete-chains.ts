import type { Outcome } from '../../domain/outcome.ts';
import { chainAfter } from '../log/chain.ts';

/** What the chain says of a command, beside its outcome. */
export interface ChainedCommand {
  readonly kind: string;
  readonly type?: 'proposal' | undefined;
  readonly sha256?: string | undefined;
}

/**
 * Gives each accepted message its value of the chain. Of messages in a row the deciding transaction, and the packed form in histories,
 * name that of the first; each other one follows from the one before.
 * @param commands one for each outcome
 */
export function completeChains(commands: readonly ChainedCommand[], outcomes: readonly Outcome[]): Outcome[] {
  let last: { readonly seq: number; readonly chain: Buffer } | undefined;
  return outcomes.map((outcome, i) => {
    if (outcome.status !== 'accepted' || !('seq' in outcome)) return outcome;
    const { seq, epoch } = outcome;
    const { kind, type, sha256 } = commands[i] ?? {};
    if (outcome.chain !== undefined) {
      last = { seq, chain: Buffer.from(outcome.chain, 'base64') };
    } else if (kind === 'message' && sha256 !== undefined && last?.seq === seq - 1) {
      const entry = { seq, kind: type ?? 'application', epoch, sha256: Buffer.from(sha256, 'hex') } as const;
      last = { seq, chain: chainAfter(last.chain, entry) };
      return { ...outcome, chain: last.chain.toString('base64') };
    }
    return outcome;
  });
}
