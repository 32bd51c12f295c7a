import { describe, expect, test } from 'vitest';
import { checkInvariants } from '../../tools/harness/invariants.ts';
import { atOnce, createOpaque, newMessage } from '../../tools/harness/opaque.ts';
import { useService } from '../harness/service.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { commitInLoop, commitUntilWon, newBundle } from './committers.ts';

/** Nobody may keep others from committing for longer than this. */
const WITHIN_MS = 5000;
/** Time that a phone needs to build a commit for a large group. */
const SLOW_BUILD_MS = 150;
const DEVICES = 4;
const CONNECTIONS = 3;
const TIMEOUT_MS = 60_000;

describe.each([
  ['workflow', {}],
  ['direct', { CONVERSATION_PATH: 'direct' }],
] as const)('on the %s path', (_, env) => {
  const service = useService({ workers: 1, env });

  const deferrals = async (): Promise<number> => {
    const texts = await Promise.all(
      service().apis.map(async ({ url }) => (await fetch(new URL('/metrics', url))).text()),
    );
    const counts = texts.map((text) => /^parley_commits_deferred_total\{path="\w+"\} (\d+)$/m.exec(text)?.[1] ?? '0');
    return counts.reduce((sum, count) => sum + Number(count), 0);
  };
  const epochOf = (conversation: string): Promise<number> => service().clientOf('alice').epoch(conversation);

  test(
    'a slow committer wins against two busy rivals within 5 s, and the rivals win too',
    async () => {
      const conversation = await createOpaque(service().clientOf('alice'), ['bob', 'carol', 'slow']);
      let isOver = false;
      const rivals = ['bob', 'carol'].map((user, api) =>
        commitInLoop({ client: service().clientOf(user, { api, attempts: 1 }), conversation }, () => isOver),
      );
      await waitUntil(async () => (await epochOf(conversation)) > 5, { what: 'the rivals are busy' });
      const client = service().clientOf('slow');
      await commitUntilWon({ client, conversation, buildMs: SLOW_BUILD_MS }, {}, WITHIN_MS).finally(
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
    'a member who needs %i ms for a commit removes within 5 s a user who floods the conversation with commits from many devices and connections',
    async (buildMs) => {
      const conversation = await createOpaque(service().clientOf('alice'), ['mallory', 'bob']);
      const flood = atOnce(DEVICES * CONNECTIONS, (i) => {
        const options = { api: i % 2, device: `device-${i % DEVICES}`, attempts: 1 };
        return commitInLoop({ client: service().clientOf('mallory', options), conversation }, () => false);
      });
      await waitUntil(async () => (await epochOf(conversation)) > 5, { what: 'the flood has begun' });
      const client = service().clientOf('alice');
      await commitUntilWon({ client, conversation, buildMs }, { removes: ['mallory'] }, WITHIN_MS);
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
    const before = await deferrals();
    const [committed, said] = await Promise.all([
      ann.commit(conversation, newBundle(1)),
      cleo.send(conversation, newMessage()),
    ]);
    expect(committed.epoch).toBe(2);
    expect(said.seq).toBeLessThan(committed.seq);
    expect(await deferrals()).toBe(before + 1);
    await checkInvariants(service().pool, conversation);
  });
});
