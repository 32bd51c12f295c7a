import type {
  CommitAccepted,
  CommitBundle,
  LogEvent,
  MlsGroup,
  OutgoingMessage,
  SendResult,
} from '../../client/index.ts';
import { memoryStore, MlsDevice, ParleyClient, ProblemError } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';
import { retain } from '../../store/retention/retention.ts';
import type { Service } from '../../tools/harness/service.ts';
import { below, makeRandom } from '../../tools/load/random.ts';

/** What a walk saw. */
export interface Walk {
  /** Alarms of any device about the log. The service and all devices are honest. */
  readonly alarms: readonly string[];
  /** Number of steps, by kind. */
  readonly done: ReadonlyMap<string, number>;
  /** Number of refused and failed steps, by kind and reason: races have losers. */
  readonly refused: ReadonlyMap<string, number>;
  /** Number of statements in messages of others, by what they showed. */
  readonly heard: ReadonlyMap<string, number>;
}

const NAMES = ['alice/phone', 'alice/tablet', 'bob/phone', 'carol/phone', 'dave/phone'] as const;
const DAY_MS = 24 * 3600_000;
const MOST_OF_A_RETENTION_STEP = 1000;

/** Breaks the connection before some answers: the sender does not know whether it was heard. */
class LossyClient extends ParleyClient {
  losesNext = false;

  override async send(id: string, message: OutgoingMessage): Promise<SendResult> {
    return this.#lose(await super.send(id, message));
  }

  override async commit(id: string, bundle: CommitBundle): Promise<CommitAccepted> {
    return this.#lose(await super.commit(id, bundle));
  }

  #lose<T>(answer: T): T {
    if (!this.losesNext) return answer;
    this.losesNext = false;
    throw new TypeError('connection lost');
  }
}

interface Walker {
  readonly name: string;
  readonly user: string;
  client: LossyClient;
  device: MlsDevice;
  store: ReturnType<typeof memoryStore>;
  /** An older content of the store, as a backup has it. */
  backup: readonly [string, string][];
  stop?: () => Promise<void>;
}

/** One conversation of honest devices on an honest service, under random steps: what they do in a long life, one or several at once. */
export async function walk(service: Service, { seed, steps }: { seed: number; steps: number }): Promise<Walk> {
  const random = makeRandom(seed);
  const pick = <T>(from: readonly T[]): T | undefined => from[below(random, from.length)];
  const alarms: string[] = [];
  const done = new Map<string, number>();
  const refused = new Map<string, number>();
  const heard = new Map<string, number>();
  const count = (counter: Map<string, number>, key: string, by = 1): void =>
    void counter.set(key, (counter.get(key) ?? 0) + by);
  const named = (name: string): string => `${name}-walk-${seed}`;

  const open = async (
    name: string,
    left: Iterable<readonly [string, string]> = [],
  ): Promise<Omit<Walker, 'backup'>> => {
    const [user = '', id = ''] = name.split('/');
    const client = new LossyClient(service.clientOf(named(user), { device: id }).http);
    const store = memoryStore(left);
    const onLogEvent = (group: MlsGroup, event: LogEvent): void =>
      void alarms.push(`${name} in ${group.id}: ${JSON.stringify(event)}`);
    const device = await MlsDevice.open({
      mls: tsMls,
      api: client,
      user: named(user),
      device: id,
      keyPackages: 3,
      store,
      onLogEvent,
    });
    return { name, user: named(user), client, device, store };
  };
  /** Ends the process of a device, and starts another one with what the store has, or had. */
  const restart = async (walker: Walker, left: Iterable<readonly [string, string]>): Promise<void> => {
    await walker.stop?.();
    delete walker.stop;
    note(walker);
    Object.assign(walker, await open(walker.name, left));
  };
  const note = (walker: Walker): void => {
    for (const group of walker.device.groups.values()) for (const [what, n] of group.heard) count(heard, what, n);
  };

  const walkers: Walker[] = [];
  for (const name of NAMES) walkers.push({ ...(await open(name)), backup: [] });
  const [first] = walkers;
  if (first === undefined) throw new Error('nobody walks');
  const policy = { externalJoin: 'member', retentionDays: 1, commitRetentionDays: 1 } as const;
  let id = (await first.device.createGroup(policy)).id;
  await first.device.invite(id, ...new Set(walkers.slice(2).map(({ user }) => user)));
  for (const walker of walkers) await walker.device.sync();
  await walkers[1]?.device.joinExternally(id);

  const groupOf = ({ device }: Walker): MlsGroup | undefined => {
    const group = device.groups.get(id);
    return group?.isRemoved === false ? group : undefined;
  };
  const members = (): Walker[] => walkers.filter((walker) => groupOf(walker) !== undefined);
  const catchUp = async (walker: Walker): Promise<void> => {
    await walker.device.joinGroups();
    if (groupOf(walker) !== undefined) await groupOf(walker)?.receive();
    if (below(random, 4) === 0) await walker.device.ack();
  };
  let texts = 0;
  const kinds: readonly (readonly [number, string, (walker: Walker) => Promise<unknown>])[] = [
    [34, 'send', async (walker) => groupOf(walker)?.send(`text ${++texts}`)],
    [30, 'receive', catchUp],
    [6, 'update', async (walker) => groupOf(walker)?.update()],
    [6, 'race', () => Promise.allSettled(members().map(async (each) => groupOf(each)?.send(`race ${++texts}`)))],
    [3, 'commit race', () => Promise.allSettled(members().map(async (each) => groupOf(each)?.update()))],
    [
      4,
      'lost answer',
      async (walker) => {
        walker.client.losesNext = true;
        const group = groupOf(walker);
        await (below(random, 2) === 0 ? group?.send(`text ${++texts}`) : group?.update());
      },
    ],
    [4, 'crash', async (walker) => restart(walker, walker.store.entries())],
    [1, 'backup', async (walker) => void (walker.backup = await Promise.resolve(walker.store.entries()))],
    [1, 'restored client', async (walker) => (walker.backup.length === 0 ? undefined : restart(walker, walker.backup))],
    [
      3,
      'live',
      async (walker) => {
        if (walker.stop !== undefined) return walker.stop().finally(() => delete walker.stop);
        const end = new AbortController();
        const running = walker.device.run({
          signal: end.signal,
          onError: (error) => count(refused, `live ${reason(error)}`),
        });
        walker.stop = async () => {
          end.abort();
          await running.catch(() => undefined);
        };
      },
    ],
    [
      2,
      'remove',
      async (walker) => {
        const other = pick(members().filter(({ user }) => user !== walker.user && user !== first.user));
        if (other !== undefined && members().length > 3) await groupOf(walker)?.remove(other.user);
      },
    ],
    [
      3,
      'invite',
      async (walker) => {
        const other = pick(walkers.filter((one) => groupOf(one) === undefined));
        if (groupOf(walker) !== undefined && other !== undefined) await walker.device.invite(id, other.user);
        if (other !== undefined) await other.device.joinGroups();
      },
    ],
    [1, 'resync', async (walker) => groupOf(walker)?.resync()],
    [
      1,
      'lost state',
      async (walker) => {
        if (groupOf(walker) === undefined) return;
        await walker.device.forget(id);
        await walker.device.joinExternally(id);
      },
    ],
    [1, 'retention', () => retain(service.pool, id, Date.now() + 2 * DAY_MS, MOST_OF_A_RETENTION_STEP)],
    [
      0.2,
      'reset',
      async () => {
        // Only an admin may, before anybody has reported an entry.
        if (groupOf(first) === undefined) return;
        id = (await first.device.reset(id)).id;
        for (const each of walkers) await each.device.joinGroups();
      },
    ],
  ];
  const weight = kinds.reduce((sum, [each]) => sum + each, 0);

  for (let step = 0; step < steps; step++) {
    const walker = pick(walkers) ?? first;
    let at = random() * weight;
    const [, kind, take] = kinds.find(([each]) => (at -= each) < 0) ?? kinds[0] ?? [0, '', catchUp];
    try {
      await take(walker);
      count(done, kind);
    } catch (error) {
      count(refused, `${kind} ${reason(error)}`);
    }
  }
  for (const walker of walkers) {
    await walker.stop?.();
    await catchUp(walker).catch((error: unknown) => count(refused, `last ${reason(error)}`));
    note(walker);
  }
  return { alarms, done, refused, heard };
}

function reason(error: unknown): string {
  if (error instanceof ProblemError) return error.code;
  return error instanceof Error ? `${error.name} ${error.message}`.slice(0, 80) : String(error);
}
