import { expect, test } from 'vitest';
import { useApi } from '../../harness/api/use-api.ts';
import { useConversations } from '../../harness/conversations.ts';
import { useDatabase } from '../../harness/database.ts';
import { encodeMlsMessage, proposeAddExternal } from 'ts-mls';
import {
  SUITE,
  commit,
  deliver,
  groupInfoOf,
  makeBundle,
  makeExternal,
  newKeys,
  startGroup,
  wireGroupInfo,
} from '../../harness/mls/group.ts';

const database = useDatabase();
const conversations = useConversations(database);
const { service } = useApi(() => ({ submitter: conversations.dispatcher }), database);

const MEMBERS = ['planted-alice', 'planted-bob'] as const;
const OUTSIDER = 'planted-outsider';
const REASON = 'planted reason of a report';

test('joins, GroupInfos and reports go through the workflow, whose history contains no user, text or bytes of them (invariant 10)', async () => {
  const [alice, bob] = MEMBERS;
  const group = await startGroup(service, MEMBERS, { externalJoin: 'anyone', groupInfo: 'optional' });

  const update = await makeBundle(group.of(alice));
  expect((await commit(service, group.id, alice, { commit: update.body.commit })).status).toBe(200);
  await deliver(group, alice, update);
  const groupInfo = wireGroupInfo(await groupInfoOf(group.of(bob)));
  const supplied = await service.ask(`PUT /v1/conversations/${group.id}/group-info`, {
    user: bob,
    body: { groupInfo },
  });
  expect(supplied).toMatchObject({ status: 200, body: { epoch: 2 } });

  const join = await makeExternal(await groupInfoOf(group.of(bob)), await newKeys(OUTSIDER));
  expect((await commit(service, group.id, OUTSIDER, join.body)).body).toMatchObject({ epoch: 3, seq: 2 });
  const answer = await service.ask(`POST /v1/conversations/${group.id}/reports`, {
    user: OUTSIDER,
    body: { seq: 2, epoch: 3, reason: REASON },
  });
  expect(answer.body).toMatchObject({ reports: 1, needed: 2, open: false });

  const history = await conversations.handle(group.id).fetchHistory();
  const opened = stringsOf(history).join('\n');
  for (const kind of ['commit', 'group-info', 'report']) expect(opened).toContain(`"kind":"${kind}"`);
  const secrets = [...MEMBERS, OUTSIDER, REASON, groupInfo, join.body.commit, join.body.groupInfo];
  for (const secret of secrets) expect(opened.includes(secret), secret.slice(0, 40)).toBe(false);
});

test('a request to join goes through the workflow, whose history contains nothing of it (invariant 10)', async () => {
  const group = await startGroup(service, MEMBERS, { externalJoin: 'request' });
  const [alice] = MEMBERS;
  const { publicPackage, privatePackage } = await newKeys(OUTSIDER);
  const info = await groupInfoOf(group.of(alice));
  const message = await proposeAddExternal(info, publicPackage, privatePackage, SUITE);
  const ciphertext = Buffer.from(encodeMlsMessage(message)).toString('base64');
  const answer = await service.ask(`POST /v1/conversations/${group.id}/messages`, {
    user: OUTSIDER,
    body: { id: 'ask', ciphertext },
  });
  expect(answer.body).toMatchObject({ results: [{ id: 'ask', seq: 1, epoch: 1, status: 'accepted' }] });
  const opened = stringsOf(await conversations.handle(group.id).fetchHistory()).join('\n');
  expect(opened).toContain('"kind":"join-request"');
  for (const secret of [OUTSIDER, ciphertext]) expect(opened.includes(secret), secret.slice(0, 40)).toBe(false);
});

test('an admin bars a user through the workflow', async () => {
  const [alice, bob] = MEMBERS;
  const group = await startGroup(service, MEMBERS, { externalJoin: 'anyone' });
  const at = `/v1/conversations/${group.id}/members/${OUTSIDER}/bar`;
  expect(await service.ask(`POST ${at}`, { user: bob })).toMatchObject({ status: 403 });
  expect(await service.ask(`POST ${at}`, { user: alice })).toMatchObject({ status: 200, body: { barred: true } });
  const join = await makeExternal(await groupInfoOf(group.of(alice)), await newKeys(OUTSIDER));
  expect((await commit(service, group.id, OUTSIDER, join.body)).status).toBe(404);
  expect(await service.ask(`DELETE ${at}`, { user: alice })).toMatchObject({ status: 200, body: { barred: false } });
  expect((await commit(service, group.id, OUTSIDER, join.body)).status).toBe(200);
});

test('a request of an outsider to a closed conversation is refused and leaves no trace in its history', async () => {
  const [alice] = MEMBERS;
  const group = await startGroup(service, MEMBERS, { externalJoin: 'member' });
  const join = await makeExternal(await groupInfoOf(group.of(alice)), await newKeys(OUTSIDER));
  expect((await commit(service, group.id, OUTSIDER, join.body)).status).toBe(404);
  await expect(conversations.handle(group.id).describe()).rejects.toThrow(/not found/i);
});

/** Every string of a history, including its decoded payloads. */
function stringsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('utf8')];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(stringsOf);
}
