// Between a test and a program with a generated client. The programs get a copy of this file, so it imports nothing.

/** Key packages of a device, as it uploads them. */
export interface TutorialKeys {
  readonly keyPackages: string[];
  readonly lastResort: string;
}

/** What a program that does the tutorial gets: addresses, tokens, and the bytes that the MLS library of a device makes. */
export interface TutorialInput {
  readonly url: string;
  readonly tokens: Readonly<Record<'alice' | 'bob' | 'carol' | 'operator', string>>;
  readonly group: { readonly id: string; readonly groupInfo: string };
  readonly keys: Readonly<Record<'alice' | 'bob', TutorialKeys>>;
  /** Alice adds bob, epoch 1. */
  readonly addBob: { readonly commit: string; readonly welcome: string; readonly groupInfo: string };
  /** Bob commits fresh keys of his own, epoch 2. */
  readonly update: { readonly commit: string; readonly groupInfo: string };
  readonly messages: Readonly<Record<'alice' | 'bob', string>>;
}

/** What the program has seen of the service. */
export interface TutorialResult {
  /** Number of conversations of alice before. */
  readonly before: number;
  readonly claimed: { readonly device: string; readonly keyPackage: string };
  /** Epochs after the creation and the two commits. */
  readonly epochs: readonly number[];
  readonly welcome: string;
  readonly conversation: {
    readonly id: string;
    readonly epoch: number;
    readonly lastSeq: number;
    readonly memberCount: number;
    readonly role: string;
  };
  readonly members: readonly string[];
  readonly entries: readonly { readonly seq: number; readonly kind: string; readonly ciphertext: string }[];
  readonly stock: { readonly available: number; readonly lastResort: boolean };
  /** Codes of two problems: carol reads, alice adds carol without a commit. */
  readonly refused: { readonly carol: string; readonly add: string };
  readonly acknowledged: number;
  /** The entry that the stream begins with, after what was acknowledged. */
  readonly streamed: { readonly seq: number; readonly kind: string };
  readonly workflow: { readonly id: string; readonly running: boolean };
  /** Number of commits in the metrics of the API. */
  readonly commits: number;
}
