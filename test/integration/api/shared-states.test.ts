import { expect, test } from 'vitest';
import { makeGroupStates } from '../../../api/services/group-states.ts';
import { type JobOwner, type Jobs, jobsInThisThread } from '../../../compute/jobs.ts';
import { AppError } from '../../../domain/errors.ts';
import { BODY_LIMIT_COMMITS } from '../../../domain/limits.ts';
import { makeGate, troubledPool } from '../../../tools/harness/trouble.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { startGroup } from '../../harness/mls/group.ts';

/** What one user's request loads and parses for a group serves others; while it waits, nobody waits with it. */
const { database, service } = useApi();

const treeCheckMaxBytes = BODY_LIMIT_COMMITS;

test('a GroupInfo that waits in the share of one user is loaded for another (invariant 14)', async () => {
  const { id } = await startGroup(service, ['alice', 'mallory'], {});
  const { pool, trouble } = troubledPool(database().pool);
  const gate = makeGate();
  let loads = 0;
  trouble.before = async ({ name }) => {
    if (name === 'read-stored-group-info' && ++loads === 1) await gate.pass();
  };
  const states = makeGroupStates({ pool, jobs: jobsInThisThread, treeCheckMaxBytes });
  const held = [1, 2, 3].map(() => states.current(id, 'mallory'));
  await waitUntil(() => gate.waiting() === 1, { what: "mallory's load waits" });
  expect(await states.current(id, 'alice')).toMatchObject({ epoch: 1 });
  expect(await states.current(id, 'bob')).toMatchObject({ epoch: 1 });
  gate.open();
  expect(await Promise.all(held)).toMatchObject(Array(3).fill({ epoch: 1 }));
  // The requests of one user shared one load, and all later ones the result.
  expect(loads).toBe(2);
});

const owner = (user: string): JobOwner => ({ user, deadline: Date.now() + 10_000 });

test('that the queue of one user is full fails no request of another (invariant 14)', async () => {
  const { id } = await startGroup(service, ['alice', 'mallory'], {});
  let parses = 0;
  let fail = (): void => undefined;
  const full = new Promise<never>((_resolve, reject) => (fail = () => reject(new AppError('overloaded'))));
  const jobs: Jobs = {
    run: (name, asker, ...input) => {
      parses++;
      const isMallory = typeof asker !== 'string' && asker.user === 'mallory';
      return isMallory ? full : jobsInThisThread.run(name, asker, ...input);
    },
  };
  const states = makeGroupStates({ pool: database().pool, jobs, treeCheckMaxBytes });
  const refused = expect(states.facts(id, owner('mallory'))).rejects.toMatchObject({ code: 'overloaded' });
  await waitUntil(() => parses === 1, { what: "mallory's job is asked for" });
  const answer = await states.facts(id, owner('alice'));
  expect(answer?.facts?.users).toHaveLength(2);
  fail();
  await refused;
  expect(await states.facts(id, owner('mallory'))).toMatchObject({ epoch: 1 });
  expect(parses).toBe(2);
});
