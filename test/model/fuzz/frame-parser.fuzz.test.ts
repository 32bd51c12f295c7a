import fc from 'fast-check';
import { encodeMlsMessage } from 'ts-mls';
import type { MLSMessage, Proposal } from 'ts-mls';
import { beforeAll, describe, expect, test } from 'vitest';
import { FrameError, parseFrame } from '../../../mls/frame.ts';
import { decodeWhole, facts, frameFacts } from '../../harness/mls/frame-facts.ts';
import type { NamedFrame } from '../../harness/mls/mls-frames.ts';
import { makeFrames } from '../../harness/mls/mls-frames.ts';

/** 20,000 runs take about two seconds. */
const RUNS = Number(process.env.FUZZ_RUNS ?? 20_000);
const TIMEOUT_MS = 20_000 + RUNS;
let corpus: NamedFrame[];

beforeAll(async () => {
  corpus = (await Promise.all([2, 6].map(makeFrames))).flat();
});

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Known differences: this parser is stricter (RFC 9420 §6, §12.1.8) or knows more (SelfRemove, type 10). */
function isKnownDifference(message: MLSMessage): boolean {
  if (message.wireformat !== 'mls_public_message') return false;
  const { content } = message.publicMessage;
  if (content.contentType === 'application') return true;
  const sender = content.sender.senderType;
  if (sender !== 'member' && (sender === 'new_member_commit') !== (content.contentType === 'commit')) return true;
  if (content.contentType === 'proposal') {
    const isAdd = content.proposal.proposalType === 'add';
    return isNotCustom(content.proposal) || (sender === 'new_member_proposal' && !isAdd);
  }
  return content.commit.proposals.some((p) => p.proposalOrRefType === 'proposal' && isNotCustom(p.proposal));
}

/** If ts-mls cannot decode a proposal of a known type, it returns a custom proposal of that type. */
function isNotCustom(proposal: Proposal): boolean {
  return 'proposalData' in proposal && (proposal.proposalType <= 7 || proposal.proposalType === 10);
}

/** Both parsers agree: they accept only canonical bytes, with the same fields. */
function expectAgreement(bytes: Uint8Array): void {
  const frame = parseFrame(bytes);
  const message = decodeWhole(bytes);
  if (message === undefined || isKnownDifference(message)) return;
  if (!equal(encodeMlsMessage(message), bytes)) {
    expect(frame, 'an encoding that is not canonical').toBeInstanceOf(FrameError);
  } else {
    if (frame instanceof FrameError) throw new Error(`refused what ts-mls reads: ${frame.message}`);
    expect(frameFacts(frame)).toEqual(facts(message));
  }
}

const anyFrame = (): fc.Arbitrary<Uint8Array> =>
  fc.nat(corpus.length - 1).map((i) => corpus[i]?.bytes ?? new Uint8Array());

describe('parseFrame under fuzzing', { timeout: TIMEOUT_MS }, () => {
  test('agrees with ts-mls on mutated messages', () => {
    const mutation = fc.record({
      at: fc.nat(1 << 20),
      value: fc.nat(255),
      kind: fc.constantFrom('set', 'insert', 'drop'),
    });
    const mutated = fc.tuple(anyFrame(), fc.array(mutation, { minLength: 1, maxLength: 3 })).map(([frame, changes]) => {
      const bytes = [...frame];
      for (const { at, value, kind } of changes) {
        // Half of the changes are in the first bytes, which hold the framing.
        const index = at % (value % 2 === 0 ? bytes.length : Math.min(bytes.length, 64));
        bytes.splice(index, kind === 'insert' ? 0 : 1, ...(kind === 'drop' ? [] : [value]));
      }
      return Uint8Array.from(bytes);
    });
    fc.assert(fc.property(mutated, expectAgreement), { numRuns: RUNS });
  });

  test('agrees with ts-mls on random bytes after a valid header', () => {
    const head = fc.constantFrom(1, 2, 3, 4, 5).map((wireFormat) => [0, 1, 0, wireFormat]);
    const bytes = fc
      .tuple(head, fc.uint8Array({ maxLength: 200 }))
      .map(([h, body]) => Uint8Array.from([...h, ...body]));
    fc.assert(fc.property(bytes, expectAgreement), { numRuns: RUNS });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), expectAgreement), { numRuns: RUNS });
  });
});
