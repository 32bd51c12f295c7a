import { beforeAll, describe, expect, test } from 'vitest';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { atOnce, createOpaque, newMessage } from '../../tools/harness/opaque.ts';
import { useService } from '../harness/service.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { commitInLoop, commitUntilWon, newBundle } from './committers.ts';

/**
 * After three losses in a row the gap that frequent winners leave has its full length, 5 s, and every commit of these tests
 * takes less: the next one wins (store/commit/contention.sql).
 */
const MOST_LOSSES = 3;
/** A phone that computes a commit for a large group. */
const SLOW_BUILD_MS = 150;
const DEVICES = 4;
const CONNECTIONS = 3;
const TIMEOUT_MS = 120_000;

const service = useService({ workers: 1 });

describe.each(['workflow', 'direct'] as const)('on the %s path', (path) => {
  beforeAll(async () => {
    await service().setPath(path);
    // A user has one reservation in a minute, and the users of both paths are the same.
    await service().pool.query('delete from race');
  });

  const deferrals = async (): Promise<number> => {
    const texts = await Promise.all(
      service().apis.map(async ({ url }) => (await fetch(new URL('/metrics', url))).text()),
    );
    const line = new RegExp(`^parley_commits_deferred_total\\{path="${path}"\\} (\\d+)$`, 'm');
    const counts = texts.map((text) => line.exec(text)?.[1] ?? '0');
    return counts.reduce((sum, count) => sum + Number(count), 0);
  };
  /** Waits until so many users win often enough for the rule to hold them back: five times within ten seconds. */
  const untilBusy = (conversation: string, users: number): Promise<void> => {
    const count = async (): Promise<number | null> => {
      const { rowCount } = await service().pool.query(
        `select from race r join conversation c on c.key = r.conversation
         where c.id = $1 and won[5] > clock_timestamp() - interval '10 s'`,
        [conversation],
      );
      return rowCount;
    };
    return waitUntil(async () => (await count()) === users, { what: `${users} users win often`, timeoutMs: 60_000 });
  };

  test(
    `a slow committer wins against two busy rivals after at most ${MOST_LOSSES} losses, and they win too`,
    async () => {
      const conversation = await createOpaque(service().clientOf('alice'), ['bob', 'carol', 'slow']);
      let isOver = false;
      const rivals = ['bob', 'carol'].map((user, api) =>
        commitInLoop({ client: service().clientOf(user, { api, attempts: 1 }), conversation }, () => isOver),
      );
      await untilBusy(conversation, 2);
      const client = service().clientOf('slow');
      await commitUntilWon({ client, conversation, buildMs: SLOW_BUILD_MS }, {}, MOST_LOSSES).finally(
        () => (isOver = true),
      );
      for (const rival of await Promise.all(rivals)) {
        expect(rival.unexpected).toEqual([]);
        expect(rival.accepted).toBeGreaterThan(0);
      }
      await checkInvariants(service().pool, conversation);
    },
    TIMEOUT_MS,
  );

  test.each([0, SLOW_BUILD_MS, 400, 1500])(
    `a member who needs %i ms for a commit removes one who floods them from many devices and connections, after at most ${MOST_LOSSES} losses`,
    async (buildMs) => {
      const conversation = await createOpaque(service().clientOf('alice'), ['mallory', 'bob']);
      const flood = atOnce(DEVICES * CONNECTIONS, (i) => {
        const options = { api: i % 2, device: `device-${i % DEVICES}`, attempts: 1 };
        return commitInLoop({ client: service().clientOf('mallory', options), conversation }, () => false);
      });
      await untilBusy(conversation, 1);
      const client = service().clientOf('alice');
      await commitUntilWon({ client, conversation, buildMs }, { removes: ['mallory'] }, MOST_LOSSES);
      const tallies = await flood;
      expect(tallies.flatMap(({ unexpected }) => unexpected)).toEqual([]);
      expect(tallies.every(({ isRemoved }) => isRemoved)).toBe(true);
      const { members } = await client.members(conversation);
      expect(members.map(({ user }) => user)).toEqual(['alice', 'bob']);
      await checkInvariants(service().pool, conversation);
    },
    TIMEOUT_MS,
  );

  test('a commit during a reservation waits and is then accepted, messages do not wait, and a metric counts it', async () => {
    // Other users than above, because a user has at most one reservation in a minute.
    const [ann, ben, cleo] = ['ann', 'ben', 'cleo'].map((user) => service().clientOf(user, { attempts: 1 }));
    if (ann === undefined || ben === undefined || cleo === undefined) throw new Error('there is nobody');
    const conversation = await createOpaque(ann, ['ben', 'cleo']);
    await ann.commit(conversation, newBundle(0));
    for (let i = 0; i < 3; i++) {
      await expect(ben.commit(conversation, newBundle(0))).rejects.toMatchObject({ code: 'epoch-conflict' });
    }
    // Long enough for a busy machine. The conversation queue lets no commit wait longer than a reservation may last.
    const { rowCount } = await service().pool.query(
      `update race r set reserved_until = clock_timestamp() + interval '1 minute'
       from conversation c where c.key = r.conversation and c.id = $1 and r.reserved_until is not null`,
      [conversation],
    );
    expect(rowCount).toBe(1);
    // The queue lets the commit wait for 300 ms at most: of several messages, by a connection that is open, one passes it then.
    await cleo.send(conversation, newMessage());
    const before = await deferrals();
    const [committed, said] = await Promise.all([
      ann.commit(conversation, newBundle(1)),
      atOnce(5, () => cleo.send(conversation, newMessage())),
    ]);
    expect(committed.epoch).toBe(2);
    expect(Math.min(...said.map(({ seq }) => seq))).toBeLessThan(committed.seq);
    expect(await deferrals()).toBe(before + 1);
    await checkInvariants(service().pool, conversation);
  });
});
