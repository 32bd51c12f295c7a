import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Outcome } from '../../../domain/outcome.ts';
import { viewConversation } from '../../../store/conversation/conversations.ts';
import { readPage } from '../../../store/log/entries.ts';
import { shareOut } from '../../../store/pool-share.ts';
import { seqOf } from '../../harness/outcomes.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { type Request, send, sendStaged, startConversation } from '../../harness/requests.ts';

const database = useDatabase();
const WRITERS = 8;
const ROUNDS = 60;
const USERS = ['alice', 'bob', 'carol', 'dave', 'erin'];

/** What one writer does in one round, before it knows the epoch. */
const step = fc.record({
  size: fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 6 }), fc.integer({ min: 8, max: 14 })),
  staged: fc.boolean(),
  kind: fc.constantFrom('message', 'message', 'message', 'commit', 'membership', 'read', 'proposal'),
  id: fc.nat(400),
  user: fc.nat(4),
  body: fc.nat(1),
  epochShift: fc.constantFrom(0, 0, 0, -1, -3, 1),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

test.each(['mls', 'opaque'] as const)(
  'invariants 1 to 8 hold for %s with 8 writers that clash in ids, epochs and members, and no two answers disagree',
  async (protocol) => {
    const { pool } = database();
    const conversation = await startConversation(pool, { protocol, members: USERS.slice(0, 4) });
    const answers: { request: Request; outcome: Outcome }[] = [];
    const plans = fc.sample(fc.array(step, { minLength: ROUNDS, maxLength: ROUNDS }), { numRuns: WRITERS, seed: 7 });
    let epoch = 0;
    const write = async (plan: readonly Step[]): Promise<void> => {
      // As a process of its own: one process makes one call for a conversation at a time.
      const own = shareOut(pool);
      for (const each of plan) {
        const requests = Array.from({ length: each.size }, (_, i) => makeRequest(each, i, epoch));
        const { facts, outcomes } = each.staged
          ? (await sendStaged(own, conversation, requests)).decision
          : await send(own, conversation, requests);
        epoch = Math.max(epoch, facts.epoch);
        expect(outcomes).toHaveLength(requests.length);
        outcomes.forEach((outcome, i) => answers.push({ request: requests[i] ?? expect.unreachable(), outcome }));
      }
    };
    await Promise.all([...plans.map(write), checkNowAndThen(conversation)]);

    await checkInvariants(pool, conversation);
    expect(answers.length).toBeGreaterThan(WRITERS * ROUNDS);
    expectConsistent(answers);
    await expectReadable(conversation, answers);
  },
);

/** The invariants hold at every moment, not only at rest. */
async function checkNowAndThen(conversation: string): Promise<void> {
  for (let i = 0; i < 10; i++) await checkInvariants(database().pool, conversation);
}

function makeRequest(each: Step, i: number, epoch: number): Request {
  const actor = USERS[(each.user + i) % USERS.length] ?? '';
  const at = Math.max(0, epoch + each.epochShift);
  const id = `${each.id + i}`;
  switch (each.kind) {
    case 'commit':
      return { kind: 'commit', id: `c${id}`, actor, body: `commit ${id} ${at}`, epoch: at };
    case 'membership': {
      const who = [USERS[1 + (each.id % 4)] ?? ''];
      const change = each.body === 0 ? { removes: who } : { adds: who };
      return { kind: 'commit', id: `c${id}`, actor: 'alice', body: `change ${id} ${at}`, epoch: at, ...change };
    }
    case 'read':
      return { kind: 'read', id: `r${id}`, actor, seq: each.id };
    case 'proposal':
      return { kind: 'message', type: 'proposal', id: `p${id}`, actor, body: `proposal ${each.body}`, epoch: at };
    default:
      return { kind: 'message', id: `m${id}`, actor, body: `text ${each.body}`, epoch: at };
  }
}

/** An id was accepted at most once, and every retry of the same content has heard the same answer. */
function expectConsistent(answers: readonly { request: Request; outcome: Outcome }[]): void {
  const accepted = new Map<string, number | undefined>();
  for (const { request, outcome } of answers) {
    if (outcome.status !== 'accepted' || request.kind === 'read') continue;
    expect(accepted.has(request.id), `${request.id} accepted twice`).toBe(false);
    accepted.set(request.id, seqOf(outcome));
  }
  for (const { request, outcome } of answers) {
    if (outcome.status === 'duplicate' && request.kind !== 'read')
      expect(seqOf(outcome)).toBe(accepted.get(request.id));
  }
  const seqs = [...accepted.values()];
  expect(new Set(seqs).size).toBe(seqs.length);
}

/** Invariant 3: what was acknowledged is in the log, with its bytes. */
async function expectReadable(
  conversation: string,
  answers: readonly { request: Request; outcome: Outcome }[],
): Promise<void> {
  const { pool } = database();
  const page = await readPage(pool, conversation, 'alice', 0, 1_000_000);
  const log = new Map(page?.entries.map((entry) => [entry.seq, entry]));
  for (const { request, outcome } of answers) {
    const seq = seqOf(outcome);
    if (seq === undefined || !('body' in request)) continue;
    expect(log.get(seq)).toMatchObject({ id: request.id, ciphertext: Buffer.from(request.body ?? '') });
  }
  expect(await viewConversation(pool, conversation, 'alice')).toMatchObject({ lastSeq: log.size });
}
