import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import type { Outcome } from '../../domain/outcome.ts';
import { makePolicy } from '../../domain/policy.ts';
import { viewConversation } from '../../store/conversation/conversations.ts';
import { readPage } from '../../store/log/entries.ts';
import { listPendingRemovals, listMembers } from '../../store/membership/members.ts';
import { useDatabase } from '../harness/database.ts';
import { leaveNoGaps } from '../harness/fairness.ts';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { Model } from '../harness/model.ts';
import {
  PROPERTY_TIMEOUT_MS,
  USERS,
  anyStep,
  makeRequests,
  message,
  propertyOptions,
} from '../harness/random-requests.ts';
import { send, sendStaged, startConversation } from '../harness/requests.ts';

const database = useDatabase();
beforeAll(() => leaveNoGaps(database().pool));
const MEMBERS = USERS.slice(0, 3);

/** A mix of all operations, or enough messages in a row for the set-based branch. */
const batch = fc.record({
  steps: fc.oneof(
    { weight: 3, arbitrary: fc.array(anyStep, { minLength: 1, maxLength: 12 }) },
    { weight: 1, arbitrary: fc.array(message, { minLength: 8, maxLength: 16 }) },
  ),
  staged: fc.boolean(),
});

test(
  'invariants 1 to 8: for any operations of users, every answer and the final state match the model',
  async () => {
    const { pool } = database();
    const property = fc.asyncProperty(
      fc.constantFrom('mls' as const, 'opaque' as const),
      fc.array(batch, { minLength: 4, maxLength: 14 }),
      async (protocol, batches) => {
        const conversation = await startConversation(pool, { protocol, members: MEMBERS });
        const policy = makePolicy({ groupInfo: 'optional' }, { epochWindow: 2 });
        const model = new Model({ protocol, creator: 'alice', members: MEMBERS, policy });
        // Welcomes of the conversations before would count against the quota of the same few users.
        await pool.query('delete from welcome');
        const toRequest = makeRequests();
        const times = new Map<number, string>();
        for (const { steps, staged } of batches) {
          const expected: Outcome[] = [];
          const requests = steps.map((step) => {
            const request = toRequest(step, model);
            expected.push(model.apply(request, Date.now()));
            return request;
          });
          const {
            facts: { changed: _changed, dueAt: _dueAt, ...facts },
            outcomes,
          } = staged
            ? (await sendStaged(pool, conversation, requests)).decision
            : await send(pool, conversation, requests);
          expect(outcomes.map((outcome) => withoutTime(outcome, times))).toEqual(expected);
          expect(facts).toEqual({
            found: true,
            protocol,
            epoch: model.epoch,
            lastSeq: model.lastSeq,
            memberCount: model.memberCount,
          });
        }
        await expectState(conversation, model);
        await checkInvariants(pool, conversation);
      },
    );
    await fc.assert(property, propertyOptions(150));
  },
  PROPERTY_TIMEOUT_MS,
);

async function expectState(conversation: string, model: Model): Promise<void> {
  const { pool } = database();
  for (const user of USERS) {
    const member = model.members.get(user);
    const view = await viewConversation(pool, conversation, user);
    const page = await readPage(pool, conversation, user, 0, 1000);
    if (member === undefined) {
      expect([view, page]).toEqual([undefined, undefined]);
      continue;
    }
    expect(view, user).toMatchObject({
      unread: model.unread(user),
      role: member.state === 'member' ? member.role : 'removed',
      epoch: member.state === 'member' ? model.epoch : member.leftEpoch,
      lastSeq: member.state === 'member' ? model.lastSeq : member.leftSeq,
      periods: member.stays.map(({ from, to }) => (to === undefined ? { from } : { from, to })),
      policy: member.leftPolicy ?? model.policy,
    });
    const entries = page?.entries.map(({ seq, kind, id, epoch, ciphertext, sender }) => {
      return { seq, kind, id, epoch, body: String(ciphertext), sender };
    });
    const readable = model.readable(user).map(({ change: _, sender, ...entry }) => ({
      ...entry,
      sender: model.protocol === 'mls' && entry.kind === 'application' ? null : sender,
    }));
    expect(entries, user).toEqual(readable);
  }
  const members = await listMembers(pool, conversation, '', 100);
  expect(members.map(({ user }) => user)).toEqual(model.currentMembers().sort());
  const leaving = [...model.members].filter(([, { state }]) => state === 'leaving').map(([user]) => user);
  expect(await listPendingRemovals(pool, conversation)).toEqual(leaving.sort());
}

/** The store chooses the time of a commit, so the model takes it from there. A retry must get the same time. */
function withoutTime(answer: Outcome, times: Map<number, string>): Outcome {
  // The model knows no chain: the audit computes it again.
  const { chain: _chain, ...outcome } = { chain: undefined, ...answer };
  if (outcome.status === 'refused' || !('at' in outcome)) return outcome;
  const { at, ...rest } = outcome;
  expect(times.get(outcome.seq) ?? at).toBe(at);
  times.set(outcome.seq, at);
  return rest;
}
