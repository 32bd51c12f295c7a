import type pg from 'pg';
import type { MlsGroup } from '../kit/group.ts';
import { ProblemError } from '../kit/problem.ts';
import type { Fleet } from '../faults/fleet.ts';
import { below, makeRandom } from '../load/random.ts';
import { waitUntil } from '../support/wait-until.ts';
import { Player } from './player.ts';

const USERS = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace', 'heidi'] as const;
/** Steps that run at once, each of another device. */
const AT_ONCE = 3;
/** For everybody to come to the same state, on busy cores. */
const SETTLE_MS = 60_000;

type Step = (player: Player) => Promise<unknown>;

/** One conversation, its devices, and what may happen to them. */
export class World {
  readonly players: Player[] = [];
  /** What was done, for whoever has to find out why. */
  readonly events: string[] = [];
  readonly #pool: pg.Pool;
  readonly #fleet: Fleet;
  readonly #random: () => number;
  readonly #maxDevices: number;
  readonly #run: number;
  #sent = 0;
  conversation = '';

  constructor(options: {
    readonly pool: pg.Pool;
    readonly fleet: Fleet;
    readonly seed: number;
    readonly devices: number;
  }) {
    this.#pool = options.pool;
    this.#fleet = options.fleet;
    this.#random = makeRandom(options.seed);
    this.#maxDevices = options.devices;
    this.#run = options.seed;
  }

  /** Alice with two devices and Bob start. */
  async begin(): Promise<void> {
    const creator = await this.#add('alice/phone');
    const group = await creator.device.createGroup({ externalJoin: 'anyone' });
    this.conversation = group.id;
    creator.stay = { seq: 0, epoch: 0 };
    await this.#add('alice/laptop');
    await this.#add('bob/phone');
    for (const user of ['alice', 'bob']) await this.#invite(creator, this.#named(user));
    for (const player of this.players) player.connect();
  }

  /** Steps of random devices, some at once. */
  async play(steps: number): Promise<void> {
    for (let done = 0; done < steps; done += AT_ONCE) {
      const chosen = [...this.players].sort(() => this.#random() - 0.5).slice(0, AT_ONCE);
      await Promise.all(chosen.map((player) => this.#act(player)));
      if (done === Math.floor(steps / 2 / AT_ONCE) * AT_ONCE) await this.#killProcesses();
    }
  }

  /** Brings everybody who is in the group to its end; with them all in the same state. */
  async settle(): Promise<readonly Player[]> {
    for (const player of this.players) await player.disconnect();
    await waitUntil(
      async () => {
        for (const player of this.#inGroup()) {
          await player.device.sync().catch((error: unknown) => this.#note(`${player.name} could not sync`, error));
          await player
            .group(this.conversation)
            ?.settle()
            .catch((error: unknown) => this.#note('settle', error));
        }
        for (const player of this.#inGroup()) await player.device.sync();
        return new Set(this.#inGroup().map((player) => stateOf(player.group(this.conversation)))).size === 1;
      },
      { what: 'all devices are in the same state', timeoutMs: SETTLE_MS },
    );
    return this.#inGroup();
  }

  #inGroup(): Player[] {
    return this.players.filter((player) => player.isIn(this.conversation));
  }

  async #act(player: Player): Promise<void> {
    const steps = player.isIn(this.conversation) ? this.#insideSteps() : this.#outsideSteps();
    const [name, step] = steps[below(this.#random, steps.length)] ?? steps[0] ?? (['nothing', nothing] as const);
    this.events.push(`${player.name}: ${name}`);
    try {
      await step(player);
    } catch (error) {
      this.#note(`${player.name}: ${name} failed`, error);
    }
  }

  #insideSteps(): (readonly [string, Step])[] {
    const group = (player: Player): MlsGroup => player.device.group(this.conversation);
    const send: Step = (player) => group(player).send(`message ${++this.#sent} of ${player.name}`);
    return [
      ['send', send],
      ['send', send],
      ['send twice', async (player) => [await send(player), await send(player)]],
      ['update', (player) => group(player).update()],
      ['update', (player) => group(player).update()],
      ['propose a removal', (player) => this.#someoneElse(player, (user) => group(player).proposeRemove(user))],
      ['remove', (player) => this.#someoneElse(player, (user) => group(player).remove(user))],
      ['leave', (player) => (this.#users().size > 2 ? group(player).leave() : send(player))],
      ['invite', (player) => this.#invite(player, this.#named(USERS[below(this.#random, USERS.length)] ?? 'bob'))],
      ['another device', (player) => this.#further(player)],
      ['go away', (player) => player.disconnect()],
      [
        'come back',
        (player) => {
          player.connect();
          return nothing();
        },
      ],
      ['crash', (player) => player.crash(this.#url())],
      ['lose the state', (player) => this.#rejoin(player)],
    ];
  }

  #outsideSteps(): (readonly [string, Step])[] {
    return [
      ['join externally', (player) => this.#rejoin(player)],
      ['ask for Welcomes', (player) => player.device.sync()],
    ];
  }

  async #invite(host: Player, user: string): Promise<void> {
    if (!this.players.some((player) => player.user === user)) {
      if (this.players.length >= this.#maxDevices) return;
      await this.#add(`${user.slice(0, user.lastIndexOf('-'))}/phone`);
    }
    const before = this.players.filter((player) => player.user === user && !player.isIn(this.conversation));
    await host.device.invite(this.conversation, user);
    for (const player of before) {
      await player.device.joinGroups();
      this.#noteStay(player);
    }
  }

  /** A further device of the player's user, by external commit. */
  async #further({ name }: Player): Promise<void> {
    if (this.players.length >= this.#maxDevices) return;
    const user = name.slice(0, name.indexOf('/')).replace(/-\d+$/, '');
    const player = await this.#add(`${user}/device-${this.players.length}`);
    await this.#rejoin(player);
    player.connect();
  }

  async #rejoin(player: Player): Promise<void> {
    await player.disconnect();
    await player.device.forget(this.conversation);
    player.stay = undefined;
    await player.device.joinExternally(this.conversation);
    this.#noteStay(player);
    player.connect();
  }

  /** What it reads for certain begins where it stands now. */
  #noteStay(player: Player): void {
    const group = player.group(this.conversation);
    player.stay = group === undefined ? undefined : { seq: group.position, epoch: group.epoch };
  }

  async #someoneElse({ user }: Player, act: (user: string) => Promise<unknown>): Promise<void> {
    const others = [...this.#users()].filter((other) => other !== user);
    const other = others[below(this.#random, others.length)];
    if (this.#users().size > 2 && other !== undefined) await act(other);
  }

  #users(): ReadonlySet<string> {
    return new Set(this.#inGroup().map(({ user }) => user));
  }

  /** An API and a worker die, each with what it was doing; new ones take over. */
  async #killProcesses(): Promise<void> {
    const [api] = this.#fleet.apis.filter((one) => one.isRunning());
    const [worker] = this.#fleet.workers.filter((one) => one.isRunning());
    await Promise.all([api?.kill9(), worker?.kill9()]);
    this.events.push('an API and a worker were killed');
    await Promise.all([this.#fleet.addApi(), this.#fleet.addWorker()]);
    for (const player of this.players.filter(({ url }) => url === api?.url)) await player.crash(this.#url());
  }

  async #add(name: string): Promise<Player> {
    const [user = '', device = ''] = name.split('/');
    const player = await Player.open(`${this.#named(user)}/${device}`, this.#url());
    this.players.push(player);
    return player;
  }

  /** Other runs have users of the same name. */
  #named(user: string): string {
    return `${user}-${this.#run}`;
  }

  #url(): string {
    const urls = this.#fleet.urls();
    const url = urls[below(this.#random, urls.length)];
    if (url === undefined) throw new Error('no API runs');
    return url;
  }

  #note(what: string, error: unknown): void {
    this.events.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    // Whoever was removed meanwhile, or raced somebody, is refused; a defect of the service never is an answer.
    if (error instanceof ProblemError && error.status === 500) throw error;
  }

  /** Application entries, as the service has them. */
  async log(): Promise<{ seq: number; epoch: number }[]> {
    const { rows } = await this.#pool.query<{ seq: number; epoch: number }>(
      `select e.seq, e.epoch from entry e join conversation c on c.key = e.conversation
       where c.id = $1 and e.kind = 'application' order by e.seq`,
      [this.conversation],
    );
    return rows;
  }

  /** Members, as the service has them. */
  async members(): Promise<string[]> {
    const { rows } = await this.#pool.query<{ user: string }>(
      `select m.user_id as user from member m join conversation c on c.key = m.conversation
       where c.id = $1 and m.left_seq is null order by m.user_id`,
      [this.conversation],
    );
    return rows.map(({ user }) => user);
  }
}

const nothing = (): Promise<void> => Promise.resolve();

function stateOf(group: MlsGroup | undefined): string {
  return group === undefined ? 'none' : `${group.epoch} ${group.epochAuthenticator} ${group.position}`;
}
