import type { Entry, ParleyClient } from '../../../client/index.ts';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { ascending, atOnce, createOpaque, newMessage, readLog, upTo, users } from '../../../tools/harness/opaque.ts';
import { useService } from '../../harness/service.ts';
import type { Service } from '../../../tools/harness/service.ts';

// Each race runs many times. Some run at the same time, so that conversations also compete for the processes.
const REPEATS = Number(process.env.RACE_REPEATS ?? 8);
const AT_ONCE = 4;

describe('on one path', () => {
  const service = useService();
  describe.each(['workflow', 'direct'] as const)('the %s path', (path) => {
    beforeAll(() => service().setPath(path));
    races(service);
  });
  describe('while an operator switches it to and fro', () => {
    races(service, switching);
  });
});

describe('on both paths at once, one API on each', () => {
  const service = useService({ workers: 1, apiEnv: [{ CONVERSATION_PATH: 'direct' }] });
  races(service);
});

/** The races of the system that Parley replaces; in it each of them ended in a fork, a gap or a wrong count. */
function races(service: () => Service, during: Around = (_, run) => run()): void {
  const race = (run: (race: Race) => Promise<void>) => (): Promise<void> =>
    during(service(), async () => {
      for (let done = 0; done < REPEATS; done += AT_ONCE) {
        await atOnce(Math.min(AT_ONCE, REPEATS - done), () => repeat(service(), run));
      }
    });

  test(
    'ten concurrent adds get the epochs 1 to 10 (invariants 2, 6, 9)',
    race(async ({ id, creator, clients }) => {
      const added = await atOnce(10, (i) => clients(i).addMembers(id, [`new-${i}`]));
      expect(ascending(added.map(({ epoch }) => epoch))).toEqual(upTo(10));
      expect(await creator.epoch(id)).toBe(10);
      expect((await creator.conversation(id)).memberCount).toBe(21);
    }),
  );

  test(
    '50 sends against 20 reads leave an exact unread count (invariants 7, 9)',
    race(async ({ id, service, clients }) => {
      const reader = (i: number): ParleyClient => service.clientOf('user-9', { api: i % 2 });
      const reads = atOnce(20, (i) => reader(i).markRead(id));
      const sends = await atOnce(50, (i) => clients(i % 9).send(id, newMessage()));
      for (const unread of await reads) expect(unread).toBeLessThanOrEqual(50);
      const { rows } = await service.pool.query<{ read: number }>(
        `select m.read_seq as read from member m join conversation c on c.key = m.conversation
         where c.id = $1 and m.user_id = 'user-9'`,
        [id],
      );
      expect((await reader(0).conversation(id)).unread).toBe(50 - (rows[0]?.read ?? 0));
      expect(await reader(1).markRead(id)).toBe(0);
      expect(ascending(sends.map(({ seq }) => seq))).toEqual(upTo(50));
      // The unread count of a user who never reads: all messages of others after the user's own last message.
      const log = await readLog(reader(0), id);
      for (const user of ['user-0', 'user-8', 'creator']) {
        const last = log.findLast(({ sender }) => sender === user)?.seq ?? 0;
        expect((await service.clientOf(user, { api: 1 }).conversation(id)).unread).toBe(50 - last);
      }
    }),
  );

  test(
    'twenty concurrent sends get exactly the seqs 1 to 20 (invariants 1, 3, 9)',
    race(async ({ id, creator, clients }) => {
      const sent = await atOnce(20, async (i) => {
        const message = newMessage();
        return { message, result: await clients(i % 10).send(id, message) };
      });
      expect(ascending(sent.map(({ result }) => result.seq))).toEqual(upTo(20));
      const log = await readLog(creator, id);
      for (const { message, result } of sent) {
        expect(log[result.seq - 1]).toMatchObject({ seq: result.seq, ...message });
      }
    }),
  );

  test(
    'five commits with staggered starts are stored in the order of their epochs (invariants 2, 5, 9)',
    race(async ({ id, creator, clients }) => {
      // Each starts while the previous one is in flight or after it, with delays that differ from run to run.
      const added = await atOnce(5, async (i) => {
        for (let reads = 0; reads < (i * 3) % 5; reads++) await clients(i).epoch(id);
        return clients(i).addMembers(id, [`new-${i}`]);
      });
      expect(ascending(added.map(({ epoch }) => epoch))).toEqual(upTo(5));
      for (const { epoch, seq } of added) expect(seq).toBe(epoch);
      const log = await readLog(creator, id);
      expect(log.map(({ seq, epoch }) => [seq, epoch])).toEqual(upTo(5).map((seq) => [seq, seq - 1]));
      const times = log.map(({ at = '' }) => Date.parse(at));
      expect(times).toEqual(ascending(times));
    }),
  );

  test(
    'five adds and five sends keep every invariant (invariants 1 to 9)',
    race(async ({ id, creator, clients }) => {
      const [added, sent] = await Promise.all([
        atOnce(5, (i) => clients(i).addMembers(id, [`new-${i}`])),
        atOnce(5, (i) => clients(5 + i).send(id, newMessage())),
      ]);
      expect(ascending(added.map(({ epoch }) => epoch))).toEqual(upTo(5));
      expect(ascending([...added, ...sent].map(({ seq }) => seq))).toEqual(upTo(10));
      const log = await readLog(creator, id);
      // A message without a stated epoch belongs to the epoch that was current when it got its seq.
      let epoch = 0;
      for (const entry of log) {
        expect(entry.epoch).toBe(epoch);
        if (isCommit(entry)) epoch++;
      }
    }),
  );
}

interface Race {
  readonly service: Service;
  /** Id of an opaque conversation of the creator and ten users. */
  readonly id: string;
  readonly creator: ParleyClient;
  /** The client of `user-<i>`. Even users use one API process, odd users the other. */
  readonly clients: (i: number) => ParleyClient;
}

async function repeat(service: Service, run: (race: Race) => Promise<void>): Promise<void> {
  const creator = service.clientOf('creator');
  const id = await createOpaque(creator, users(10));
  await run({ service, id, creator, clients: (i) => service.clientOf(`user-${i}`, { api: i % 2 }) });
  await checkInvariants(service.pool, id);
}

type Around = (service: Service, run: () => Promise<void>) => Promise<void>;

/** Switches all replicas to the other path again and again while `run` is running. */
async function switching(service: Service, run: () => Promise<void>): Promise<void> {
  const operator = service.clientOf('operator', { operator: true });
  const ended = new AbortController();
  const running = run().finally(() => ended.abort());
  for (let direct = true; !ended.signal.aborted; direct = !direct) {
    await operator.admin.setPath({ path: direct ? 'direct' : 'workflow', rollout: 100 });
  }
  await running;
}

function isCommit({ kind }: Entry): boolean {
  return kind === 'commit';
}
