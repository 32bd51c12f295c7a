import { type Proposal, createProposal } from 'ts-mls';
import { describe, expect, test } from 'vitest';
import { privateMessage } from '../../harness/api/frames.ts';
import type { Answer } from '../../../tools/harness/answer.ts';
import { base64 } from '../../harness/api/conversations.ts';
import { useApi } from '../../harness/api/use-api.ts';
import {
  type Group,
  SUITE,
  add,
  commit,
  makeBundle,
  newKeys,
  removalOf,
  startGroup,
  verdict,
  wire,
} from '../../harness/mls/group.ts';

const { database, service } = useApi();

const USERS = ['alice', 'bob', 'carol'];

async function proposalOf(group: Group, user: string, proposal: Proposal | undefined): Promise<string> {
  if (proposal === undefined) throw new Error('nothing to propose');
  const { message } = await createProposal(group.of(user), true, proposal, SUITE);
  return wire(message);
}

function send(group: Group, user: string, id: string, ciphertext: string): Promise<Answer> {
  return service.ask(`POST /v1/conversations/${group.id}/messages`, { user, body: { id, ciphertext } });
}

function leave(group: Group, user: string, proposal: string): Promise<Answer> {
  return service.ask(`DELETE /v1/conversations/${group.id}/members/${user}`, { user, body: { proposal } });
}

describe('a public proposal', () => {
  test('must come from a leaf of its sender', async () => {
    const group = await startGroup(service, USERS);
    const [removal] = removalOf(group.of('alice'), 'bob');
    const ofAlice = await proposalOf(group, 'alice', removal);
    expect(verdict(await send(group, 'carol', 'stolen', ofAlice))).toEqual([403, 'identity-mismatch']);
    expect(verdict(await send(group, 'alice', 'own', ofAlice))).toEqual([200, undefined]);
    // Sending the same bytes again is a retry. The same id from another user is not.
    expect((await send(group, 'alice', 'own', ofAlice)).body.results).toMatchObject([{ status: 'duplicate' }]);
    expect(verdict(await send(group, 'carol', 'own', ofAlice))).toEqual([422, 'id-reused']);
  });

  test('is in the log before the commit of its epoch, and never after it', async () => {
    const group = await startGroup(service, USERS);
    const [removal] = removalOf(group.of('alice'), 'bob');
    const ciphertext = await proposalOf(group, 'alice', removal);
    await send(group, 'alice', 'first', ciphertext);
    expect((await commit(service, group.id, 'carol', (await makeBundle(group.of('carol'))).body)).status).toBe(200);
    const late = await send(group, 'alice', 'late', await proposalOf(group, 'alice', add(await newKeys('dave'))));
    expect(verdict(late)).toEqual([409, 'proposal-stale']);
    expect(late.body).toMatchObject({ currentEpoch: 2, submittedEpoch: 1 });
    const page = await service.ask(`GET /v1/conversations/${group.id}/messages`, { user: 'bob' });
    expect(page.body.entries).toMatchObject([
      { seq: 1, kind: 'proposal', id: 'first', epoch: 1, sender: 'alice' },
      { seq: 2, kind: 'commit', epoch: 1, sender: 'carol' },
    ]);
  });
});

describe('the proposal of a user who leaves', () => {
  test('must remove its own leaf, even if the policy allows other proposals', async () => {
    const group = await startGroup(service, USERS, { whoMayPropose: 'nobody' });
    const [bob] = removalOf(group.of('carol'), 'bob');
    expect(verdict(await leave(group, 'carol', await proposalOf(group, 'carol', bob)))).toEqual([400, 'malformed']);
    const added = await proposalOf(group, 'carol', add(await newKeys('eve')));
    expect(verdict(await leave(group, 'carol', added))).toEqual([400, 'malformed']);
    const [alice] = removalOf(group.of('alice'), 'alice');
    const ofAlice = await proposalOf(group, 'alice', alice);
    expect(verdict(await leave(group, 'carol', ofAlice))).toEqual([403, 'identity-mismatch']);
    const [own] = removalOf(group.of('carol'), 'carol');
    const answer = await leave(group, 'carol', await proposalOf(group, 'carol', own));
    expect([answer.status, answer.body]).toEqual([200, { epoch: 1, seq: 1 }]);
  });

  test('ends no later membership interval when it is repeated late', async () => {
    const group = await startGroup(service, USERS, { externalJoin: 'nobody' });
    const proposal = base64(privateMessage(group.id, 1, 'proposal'));
    expect((await leave(group, 'bob', proposal)).status).toBe(200);
    const change = async (epoch: number, request: object): Promise<void> => {
      const ciphertext = base64(privateMessage(group.id, epoch, 'commit'));
      expect((await commit(service, group.id, 'alice', { commit: ciphertext, ...request })).status).toBe(200);
    };
    await change(1, { removes: ['bob'] });
    await change(2, { adds: ['bob'] });
    expect((await leave(group, 'bob', proposal)).body).toMatchObject({ seq: 1, epoch: 1 });
    // The answer is deleted after 30 days. The entry is still there.
    await database().pool.query('delete from operation');
    expect((await leave(group, 'bob', proposal)).body).toMatchObject({ seq: 1, epoch: 1 });
    const { body } = await service.ask(`GET /v1/conversations/${group.id}`, { user: 'bob' });
    expect(body).toMatchObject({ role: 'member', memberCount: 3 });
  });
});
