import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { MAX_MEMBERS_LIMIT } from '../../../domain/limits.ts';
import { countSearched } from '../../harness/array-searches.ts';
import { makeLargeCommit } from '../../harness/mls/large-commit.ts';
import { useApi } from '../../harness/api/use-api.ts';

const { service } = useApi();

async function send(count: number): Promise<{ status: number; code: unknown; searched: number }> {
  const groupId = randomBytes(16);
  const id = groupId.toString('base64url');
  const policy = { externalJoin: 'nobody', groupInfo: 'optional', maxMembers: 10_000 };
  const created = await service.ask('POST /v1/conversations', { user: 'alice', body: { id, policy } });
  expect(created.status).toBe(201);
  const { adds, ...rest } = makeLargeCommit(groupId, count);
  const body = { ...rest, adds: adds.slice(0, MAX_MEMBERS_LIMIT) };
  let answer: Awaited<ReturnType<typeof service.ask>> | undefined;
  const searched = await countSearched(async () => {
    answer = await service.ask(`POST /v1/conversations/${id}/commits`, { user: 'alice', body });
  });
  return { status: answer?.status ?? 0, code: answer?.body.code, searched };
}

test('a commit with twice as many Adds and a Welcome with twice as many key packages cost twice as much', async () => {
  await send(10);
  const some = await send(1000);
  const twice = await send(2000);
  // Nobody claimed these key packages. Whatever refuses the commit, the lists were compared before.
  expect([some.status, twice.status]).toEqual([some.status, some.status]);
  expect(twice.searched / some.searched).toBeLessThan(2.5);
});

test('a commit with 60,000 Adds and a Welcome for 60,000 is refused where its list reaches the limit', async () => {
  const { status, code, searched } = await send(60_000);
  expect({ status, code }).toEqual({ status: 400, code: 'malformed' });
  expect(searched).toBeLessThan(10_000);
});
