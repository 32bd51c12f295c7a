import type pg from 'pg';
import { expect, test } from 'vitest';
import { makeGroupStates } from '../../../api/services/group-states.ts';
import { type Jobs, jobsInThisThread } from '../../../compute/jobs.ts';
import { AppError } from '../../../domain/errors.ts';
import { syntheticGroup } from '../../../tools/harness/synthetic-group.ts';

/** A database with one conversation, which is in epoch 1. */
function poolOf(groupInfo: () => Buffer): pg.Pool {
  const query = ({ name }: { name: string }): Promise<unknown> => {
    const stored = { groupInfo: groupInfo(), tree: null, checked: true, proven: false };
    return Promise.resolve({ rows: [name === 'read-group-info-version' ? { epoch: 1, version: '1' } : stored] });
  };
  return { query } as unknown as pg.Pool;
}

test('the facts of an epoch are read by a job of each user who asks meanwhile, so that one without a place fails alone', async () => {
  const asked: string[] = [];
  const jobs: Jobs = {
    run: (name, owner, ...input) => {
      const { user } = owner as { user: string };
      asked.push(user);
      if (user === 'mallory') return Promise.reject(new AppError('overloaded'));
      return jobsInThisThread.run(name, owner, ...input);
    },
  };
  const { groupInfo } = syntheticGroup(2);
  const states = makeGroupStates({ pool: poolOf(() => groupInfo), jobs, treeCheckMaxBytes: 1_000_000 });
  const factsFor = (user: string): Promise<unknown> => states.facts('c', { user, deadline: Number.MAX_SAFE_INTEGER });
  const [refused, ...served] = await Promise.allSettled(['mallory', 'alice', 'bob'].map(factsFor));
  expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'overloaded' } });
  for (const one of served) {
    expect(one).toMatchObject({ status: 'fulfilled', value: { epoch: 1, facts: { users: ['user-0', 'user-1'] } } });
  }
  expect(asked).toEqual(['mallory', 'alice', 'bob']);
  // What is known serves all.
  await factsFor('mallory');
  expect(asked).toHaveLength(3);
});

test('after a restore the state of an epoch is read again: another one can have its epoch and version', async () => {
  let members = 2;
  const pool = poolOf(() => syntheticGroup(members).groupInfo);
  const states = makeGroupStates({ pool, jobs: jobsInThisThread, treeCheckMaxBytes: 1_000_000 });
  const users = async (): Promise<unknown> =>
    (await states.facts('c', { user: 'alice', deadline: Number.MAX_SAFE_INTEGER }))?.facts?.users;
  expect(await users()).toEqual(['user-0', 'user-1']);
  members = 3;
  expect(await users()).toEqual(['user-0', 'user-1']);
  states.forgetAll();
  expect(await users()).toEqual(['user-0', 'user-1', 'user-2']);
});
