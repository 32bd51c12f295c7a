import type { MessageSender } from '../mls/mls-library.ts';
import type { LogEvent } from './events.ts';
import type { KnownChain } from './known-chain.ts';
import type { ChainPosition } from './position.ts';

/** An authentic message: decrypted, with a valid signature. */
export interface AuthenticMessage {
  readonly seq: number;
  readonly epoch: number;
  readonly sender: MessageSender;
  /** The position that the message states. */
  readonly theirs: ChainPosition | undefined;
}

/** What a statement shows about the log. `unverified`: this device cannot compare it, which is no reason for an alarm. */
export type Judgement = 'agreed' | 'unverified' | 'stale-branch' | 'fork-suspected';

/** Suspicions that are remembered, so that each is told once. */
const REMEMBERED = 64;

/** Compares what other devices say that they have read with what this device has read. */
export class Statements {
  /** `leaf/epoch` for which `fork-suspected` was told, the newest last. */
  readonly suspected: Set<string>;
  /** The last position that each other device stated and that this device has too: its `seq`, by the device's signature key. */
  readonly agreed = new Map<string, number>();
  /** Number of messages by what they showed, since the start of this process. */
  readonly heard = new Map<Judgement, number>();
  readonly #chain: KnownChain;
  readonly #onEvent: (event: LogEvent) => void;

  constructor(chain: KnownChain, suspected: Iterable<string>, onEvent: (event: LogEvent) => void) {
    this.#chain = chain;
    this.suspected = new Set(suspected);
    this.#onEvent = onEvent;
  }

  hear({ seq, epoch, sender, theirs }: AuthenticMessage): void {
    const mine = theirs === undefined ? undefined : this.#chain.at(theirs.seq);
    const judgement = this.#judge(seq, theirs, mine);
    this.heard.set(judgement, (this.heard.get(judgement) ?? 0) + 1);
    if (theirs === undefined) return;
    const { leaf, user, device } = sender;
    const stated = { seq, epoch, leaf, user, theirs };
    if (judgement === 'agreed') this.agreed.set(device, Math.max(theirs.seq, this.agreed.get(device) ?? 0));
    if (judgement === 'stale-branch') this.#onEvent({ type: judgement, ...stated });
    if (judgement === 'fork-suspected' && this.#isNew(`${leaf}/${epoch}`)) {
      this.#onEvent({ type: judgement, ...stated, ...(mine === undefined ? {} : { mine }) });
    }
  }

  #judge(seq: number, theirs: ChainPosition | undefined, mine: ChainPosition | undefined): Judgement {
    if (theirs === undefined) return 'unverified';
    if (this.#chain.isLost(theirs)) return 'stale-branch';
    // Nobody has read a message, or what comes after it, before it was sent.
    if (theirs.seq >= seq) return 'fork-suspected';
    if (mine === undefined) return 'unverified';
    return mine.chain === theirs.chain ? 'agreed' : 'fork-suspected';
  }

  #isNew(suspect: string): boolean {
    if (this.suspected.has(suspect)) return false;
    this.suspected.add(suspect);
    const [oldest] = this.suspected;
    if (this.suspected.size > REMEMBERED && oldest !== undefined) this.suspected.delete(oldest);
    return true;
  }
}
