import { describe, expect, test } from 'vitest';
import { KnownChain, LogAlteredError } from '../../../client/chain/known-chain.ts';
import { positionText } from '../../../client/chain/position.ts';
import type { ChainedEntry } from '../../../client/chain/values.ts';
import { chainAfter, chainOrigin, contentHash } from '../../../client/chain/values.ts';
import { sha256Hex, toBase64 } from '../../../client/platform/bytes.ts';

/** The log of docs/reference/log-chain.md. */
const ID = 'AAECAwQFBgcICQoLDA0ODw';
const base64 = (text: string): string => toBase64(new TextEncoder().encode(text));
const VECTORS: readonly ChainedEntry[] = [
  { seq: 1, kind: 'application', epoch: 0, ciphertext: base64('hello') },
  { seq: 2, kind: 'commit', epoch: 0, ciphertext: base64('commit') },
  { seq: 3, kind: 'proposal', epoch: 1, ciphertext: '' },
];

const fresh = (): KnownChain => new KnownChain({ links: new Map([[0, chainOrigin(ID, 0)]]), epochSeq: 0, lost: [] });

/** The entry with its value. */
function valued(before: string, entry: ChainedEntry): ChainedEntry & { readonly chain: string } {
  return { ...entry, chain: chainAfter(before, entry, contentHash(entry) ?? new Uint8Array()) };
}

/** The first entries of a log. */
function logOf(length: number): (ChainedEntry & { readonly chain: string })[] {
  let before = chainOrigin(ID, 0);
  return Array.from({ length }, (_, i) => {
    const entry = valued(before, { seq: i + 1, kind: 'application', epoch: 0, ciphertext: base64(`text ${i}`) });
    before = entry.chain;
    return entry;
  });
}

/** The first two. */
function twoEntries(): readonly [ChainedEntry, ChainedEntry] {
  const [first, second] = logOf(2);
  if (first === undefined || second === undefined) throw new Error('two');
  return [first, second];
}

describe('the chain that a device knows', () => {
  test('has the values of the test vectors, from the bytes or from their hash', async () => {
    const chain = fresh();
    for (const entry of VECTORS) {
      const { ciphertext: _gone, ...rest } = entry;
      const expired = { ...rest, sha256: await sha256Hex(new TextEncoder().encode('commit')) };
      chain.follow(valued(chain.at(entry.seq - 1)?.chain ?? '', entry.seq === 2 ? expired : entry));
    }
    expect([0, 1, 2, 3].map((seq) => positionText(chain.at(seq) ?? { seq, chain: '' }))).toEqual([
      '0.YUOAbvWTnDp39miN',
      '1.SnIKT3VOB9J7jEGM',
      '2.BARDStIPbPfttQdJ',
      '3.nAy8nmz761Rh2_1-',
    ]);
  });

  const changes: readonly [string, (entry: ChainedEntry) => ChainedEntry][] = [
    ['other bytes', (entry) => ({ ...entry, ciphertext: base64('other') })],
    ['another kind', (entry) => ({ ...entry, kind: 'proposal' })],
    ['another epoch', (entry) => ({ ...entry, epoch: 1 })],
    ['other bytes and no bytes', ({ ciphertext: _gone, ...entry }) => ({ ...entry, sha256: '00'.repeat(32) })],
    ['another value', (entry) => ({ ...entry, chain: toBase64(new Uint8Array(32)) })],
    ['no value at all', (entry) => ({ ...entry, chain: 'AAAA' })],
  ];

  test.each(changes)('is broken by an entry with %s', (_what, change) => {
    const chain = fresh();
    const [first, second] = twoEntries();
    chain.follow(first);
    expect(() => chain.follow(change(second))).toThrow(LogAlteredError);
    expect(chain.at(2)).toBeUndefined();
    chain.follow(second);
    expect(chain.at(2)).toBeDefined();
  });

  test('is broken by a value before a block that is not the one of the entry before it', () => {
    const chain = fresh();
    const [first, second] = twoEntries();
    chain.follow(first, chain.at(0)?.chain);
    expect(() => chain.follow(second, chain.at(0)?.chain)).toThrow(LogAlteredError);
  });

  test('begins after entries that are older than the chain', () => {
    const chain = fresh();
    const given = logOf(3).map(({ chain: _value, ...entry }) => entry);
    for (const entry of given) chain.follow(entry);
    expect(chain.links.size).toBe(0);
    const next: ChainedEntry = { seq: 4, kind: 'commit', epoch: 0, ciphertext: base64('new') };
    chain.follow({ ...next, chain: logOf(1)[0]?.chain ?? '' });
    expect(chain.at(4)).toEqual({ seq: 4, chain: logOf(1)[0]?.chain });
  });

  test('goes on by itself where a service that had given values gives none', () => {
    const chain = fresh();
    const entries = logOf(3);
    for (const { chain: given, ...entry } of entries)
      chain.follow(entry.seq === 2 ? entry : { ...entry, chain: given });
    expect([...chain.links.values()].slice(1)).toEqual(entries.map((entry) => entry.chain));
  });

  test('keeps all new values, few of the old ones, and always that of the commit that began the epoch', () => {
    const chain = fresh();
    const entries = logOf(5000);
    for (const entry of entries) {
      chain.follow(entry);
      if (entry.seq === 1001) chain.epochSeq = 1001;
    }
    const kept = new KnownChain(chain);
    expect(kept.links.size).toBeLessThan(256 + 16 * 6);
    expect(kept.at(1001)).toEqual({ seq: 1001, chain: entries[1000]?.chain });
    for (let seq = 5000; seq > 4744; seq--) expect(kept.at(seq)).toBeDefined();
    const old = [...kept.links.keys()].filter((seq) => seq < 4744);
    for (const [i, seq] of old.entries()) expect((old[i + 1] ?? 4744) - seq).toBeLessThanOrEqual(256);
    expect(chain.links.size).toBeLessThanOrEqual(kept.links.size + 64);
  });

  test('keeps the values of what was read last, however far above an own commit stands', () => {
    const chain = fresh();
    const own = { seq: 1_000_000, chain: logOf(1)[0]?.chain ?? '' };
    chain.epochSeq = own.seq;
    chain.begin(own);
    for (const entry of logOf(400)) chain.follow(entry);
    for (const kept of [chain, new KnownChain(chain, 400)]) {
      for (let seq = 400; seq > 144; seq--) expect(kept.at(seq)).toBeDefined();
      expect(kept.at(own.seq)).toEqual(own);
    }
  });

  test('remembers a lost branch, and follows the one that replaced it', () => {
    const chain = fresh();
    const entries = logOf(5);
    for (const entry of entries) chain.follow(entry);
    const position = chain.at(5);
    if (position === undefined) throw new Error('five');
    chain.lose(3);
    expect(chain.at(3)).toBeDefined();
    expect(chain.at(4)).toBeUndefined();
    const again = new KnownChain(chain);
    expect(again.isLost(position)).toBe(true);
    expect(again.isLost({ ...position, seq: 4 })).toBe(false);
    const other: ChainedEntry = { seq: 4, kind: 'application', epoch: 0, ciphertext: base64('another fourth') };
    again.follow(valued(entries[2]?.chain ?? '', other));
    expect(again.at(4)?.chain).not.toBe(entries[3]?.chain);
    expect(again.lost).toHaveLength(1);
  });
});
