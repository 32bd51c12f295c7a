import type { CommitAccepted, CommitBundle, ParleyClient } from '../../../client/index.ts';
import { epochConflict, fromBase64, hasCode, newId, sha256Hex } from '../../../client/index.ts';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { createOpaque, newMessage, randomCiphertext, readLog } from '../../../tools/harness/opaque.ts';
import { useService } from '../../harness/service.ts';
import type { Service } from '../../../tools/harness/service.ts';

const RACES = 200;
/** Four hundred commits one after another, on a machine that is busy with other tests. */
const RACES_TIMEOUT_MS = 180_000;

/** A commit that adds one user, with its Welcome and GroupInfo. */
interface Bundle extends CommitBundle {
  readonly epoch: number;
}

function newBundle(epoch: number, adds: string[] = []): Bundle {
  return {
    id: newId(),
    epoch,
    commit: randomCiphertext(),
    ...(adds.length === 0 ? {} : { adds, welcome: randomCiphertext() }),
    groupInfo: randomCiphertext(),
  };
}

type Settled = { readonly accepted: CommitAccepted } | { readonly error: unknown };

function settle(commit: Promise<CommitAccepted>): Promise<Settled> {
  return commit.then(
    (accepted) => ({ accepted }),
    (error: unknown) => ({ error }),
  );
}

const service = useService({ workers: 1 });

describe.each(['workflow', 'direct'] as const)('on the %s path', (path) => {
  beforeAll(() => service().setPath(path));

  test(
    `exactly one of two commits for one epoch wins, ${RACES} times in a row, and the loser can commit again with its answer (invariants 2, 6)`,
    async () => {
      const names = ['alice', 'bob'] as const;
      const id = await createOpaque(service().clientOf('alice'), ['bob']);
      let lostFirst = 0;
      let after = 0;
      for (let epoch = 0, round = 0; round < RACES; round++) {
        const bundles = names.map((name) => newBundle(epoch, [`${path}-${name}-${round}`]));
        const clients = names.map((name, i) => service().clientOf(name, { api: (i + round) % 2 }));
        const settled = await Promise.all(bundles.map((bundle, i) => settle(commit(clients[i], id, bundle))));
        const winners = settled.flatMap((result, i) => ('accepted' in result ? [{ ...result, i }] : []));
        expect(winners).toHaveLength(1);
        const [winner] = winners;
        if (winner === undefined) throw new Error('nobody won');
        const loser = 1 - winner.i;
        lostFirst += loser;
        expect(winner.accepted).toMatchObject({ epoch: epoch + 1, sha256: await sha256Of(bundles[winner.i]) });

        const lost = settled[loser];
        const conflict = epochConflict(lost !== undefined && 'error' in lost ? lost.error : undefined);
        expect(conflict).toMatchObject({
          currentEpoch: epoch + 1,
          submittedEpoch: epoch,
          winner: { seq: winner.accepted.seq, sha256: winner.accepted.sha256 },
          after,
        });
        expect(await welcomesOf(service(), `${path}-${names[loser]}-${round}`)).toEqual([]);

        // The loser reads the missed entries from the position in its answer, and commits again with the same id.
        const missed = await clients[loser]?.log(id, { after: conflict?.after ?? -1, kind: 'commit' });
        expect(missed?.entries.map(({ seq, ciphertext }) => [seq, ciphertext])).toEqual([
          [winner.accepted.seq, bundles[winner.i]?.commit],
        ]);
        const rebuilt = {
          ...newBundle(epoch + 1, [`${path}-${names[loser]}-${round}`]),
          id: bundles[loser]?.id ?? newId(),
        };
        const second = await commit(clients[loser], id, rebuilt);
        expect(second.epoch).toBe(epoch + 2);
        expect(await welcomesOf(service(), `${path}-${names[loser]}-${round}`)).toEqual([rebuilt.welcome]);
        epoch += 2;
        after = second.seq;
      }
      // A race that always ends the same way would be no race.
      expect(lostFirst).toBeGreaterThan(0);
      expect(lostFirst).toBeLessThan(RACES);
      await checkInvariants(service().pool, id);
    },
    RACES_TIMEOUT_MS,
  );

  test('a lost commit stores no entry, member, Welcome, GroupInfo or staged bytes (invariant 6)', async () => {
    const [alice, bob] = [service().clientOf('alice'), service().clientOf('bob', { api: 1 })];
    const id = await createOpaque(alice, ['bob']);
    const won = newBundle(0, ['carol']);
    await commit(alice, id, won);
    const lost = newBundle(0, ['mallory']);
    expect(epochConflict(await caught(commit(bob, id, lost)))).toBeDefined();

    expect((await readLog(alice, id)).map(({ id: entry }) => entry)).toEqual([won.id]);
    expect((await alice.members(id)).members.map(({ user }) => user)).toEqual(['alice', 'bob', 'carol']);
    expect(await welcomesOf(service(), 'mallory')).toEqual([]);
    expect(await alice.http.json('GET', `/v1/conversations/${id}/group-info`)).toEqual({
      groupInfo: won.groupInfo,
      epoch: 1,
    });
    for (const part of [lost.commit, lost.welcome, lost.groupInfo]) {
      expect(await tablesThatHold(service(), fromBase64(part ?? ''))).toEqual([]);
    }
    expect(await tablesThatHold(service(), fromBase64(won.commit))).toEqual(['entry']);
  });

  test('a byte-identical retry of an accepted commit gets the original answer, even three epochs later (invariant 3)', async () => {
    const alice = service().clientOf('alice');
    const id = await createOpaque(alice, ['bob']);
    const bundle = newBundle(0, ['carol']);
    const original = await commit(alice, id, bundle);
    expect(await commit(alice, id, bundle)).toEqual(original);
    for (let epoch = 1; epoch <= 3; epoch++) await commit(service().clientOf('bob'), id, newBundle(epoch));
    expect(await commit(service().clientOf('alice', { api: 1 }), id, bundle)).toEqual(original);
    // The retry does not check the Welcome and the GroupInfo again.
    expect(await commit(alice, id, { ...bundle, welcome: randomCiphertext(), groupInfo: randomCiphertext() })).toEqual(
      original,
    );
    expect((await alice.conversation(id)).epoch).toBe(4);

    const other = { ...bundle, commit: randomCiphertext() };
    expect(hasCode(await caught(commit(alice, id, other)), 'id-reused')).toBe(true);
    expect(hasCode(await caught(commit(alice, id, { ...bundle, adds: ['dave'] })), 'id-reused')).toBe(true);
    await checkInvariants(service().pool, id);
  });

  test('a commit of a future epoch is refused as `epoch-ahead` and stores nothing (invariant 2)', async () => {
    const alice = service().clientOf('alice');
    const id = await createOpaque(alice);
    const error = await caught(commit(alice, id, newBundle(1)));
    expect(hasCode(error, 'epoch-ahead')).toBe(true);
    expect(error).toMatchObject({ status: 409, details: { currentEpoch: 0, submittedEpoch: 1 } });
    expect(await readLog(alice, id)).toEqual([]);
    expect((await commit(alice, id, newBundle(0))).epoch).toBe(1);
  });

  test('the epoch window judges messages that race a commit in the order of the log (invariant 4)', async () => {
    const [alice, bob] = [service().clientOf('alice'), service().clientOf('bob', { api: 1 })];
    const id = await createOpaque(alice, ['bob'], { epochWindow: 0 });
    for (let epoch = 0; epoch < 20; epoch++) {
      const sends = Array.from({ length: 5 }, () => bob.send(id, newMessage(epoch)).catch((error: unknown) => error));
      const { seq: commitSeq } = await commit(alice, id, newBundle(epoch));
      for (const outcome of await Promise.all(sends)) {
        if (hasCode(outcome, 'epoch-too-old')) continue;
        expect((outcome as { seq: number }).seq).toBeLessThan(commitSeq);
      }
    }
    await checkInvariants(service().pool, id);
  });
});

function commit(client: ParleyClient | undefined, id: string, bundle: Bundle): Promise<CommitAccepted> {
  if (client === undefined) throw new Error('no client');
  return client.commit(id, bundle);
}

function sha256Of(bundle: Bundle | undefined): Promise<string> {
  return sha256Hex(fromBase64(bundle?.commit ?? ''));
}

async function caught(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function welcomesOf(service: Service, user: string): Promise<string[]> {
  const welcomes = await service.clientOf(user).welcomes();
  return welcomes.map(({ welcome }) => welcome);
}

/** Names of the tables that contain these bytes. */
async function tablesThatHold(service: Service, bytes: Uint8Array): Promise<string[]> {
  const { rows } = await service.pool.query<{ name: string }>(
    `select 'entry' as name from entry where ciphertext = $1
     union select 'staged' from staged where ciphertext = $1 or welcome = $1 or group_info = $1
     union select 'welcome_body' from welcome_body where welcome = $1
     union select 'group_info' from group_info where group_info = $1`,
    [Buffer.from(bytes)],
  );
  return rows.map(({ name }) => name);
}
