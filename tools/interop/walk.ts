import { newId, ProblemError } from '../../client/index.ts';
import type { Service } from '../harness/service.ts';
import { below, makeRandom } from '../load/random.ts';
import { disagreements, unreadTexts } from './agreement.ts';
import { type InteropDevice, NotOfferedError } from './device.ts';
import { OtherDevice } from './other-device.ts';
import { OwnDevice } from './own-device.ts';
import { LibraryError, type Program } from './program.ts';

export type LibraryName = InteropDevice['library'];

/** Cipher suites that each library computes here: OpenMLS with RustCrypto, mls-rs with OpenSSL (RFC 9420 §17.1). */
export const SUITES: ReadonlyMap<LibraryName, readonly number[]> = new Map<LibraryName, readonly number[]>([
  ['ts-mls', [1, 2, 3, 4, 5, 6, 7]],
  ['openmls', [1, 2, 3]],
  ['mls-rs', [1, 2, 3, 4, 5, 6, 7]],
]);

export interface WalkOptions {
  readonly seed: number;
  readonly steps: number;
  readonly cipherSuite: number;
}

export interface WalkReport extends WalkOptions {
  readonly libraries: readonly LibraryName[];
  readonly seconds: number;
  readonly epochs: number;
  readonly messages: number;
  /** Steps that changed something, by kind. */
  readonly done: ReadonlyMap<string, number>;
  /** Steps that the service or a library refused, by kind and code. */
  readonly refused: ReadonlyMap<string, number>;
  /** Empty = all members agreed after each round, and read all messages. */
  readonly problems: readonly string[];
  readonly log: readonly string[];
}

type Step = (actor: InteropDevice, target: InteropDevice) => Promise<void> | undefined;

/** Devices that act at the same time. */
const WIDTH = 2;
/** Rounds after which each member sends a message that all others must read. */
const ROUNDS_BETWEEN_MESSAGES = 4;

/** One group with devices of all libraries that have the cipher suite, and random steps in it. */
export async function runWalk(service: Service, program: Program, options: WalkOptions): Promise<WalkReport> {
  const { seed, steps, cipherSuite } = options;
  const startedAt = Date.now();
  const random = makeRandom(seed);
  const libraries = [...SUITES].flatMap(([library, suites]) => (suites.includes(cipherSuite) ? [library] : []));
  const devices = makeDevices(service, program, { cipherSuite, libraries, mark: newId().slice(0, 6) });
  const [log, problems]: [string[], string[]] = [[], []];
  const [done, refused] = [new Map<string, number>(), new Map<string, number>()];
  const count = (counter: Map<string, number>, key: string): void => void counter.set(key, (counter.get(key) ?? 0) + 1);
  const pick = <T>(from: readonly T[]): T | undefined => from[below(random, from.length)];

  for (const device of devices) await device.open();
  const creator = pick(devices);
  if (creator === undefined) throw new Error('no devices');
  const id = await creator.create({ externalJoin: 'member', whoMayAdd: 'member', whoMayRemove: 'member' });
  log.push(`${creator.name} creates ${id} with cipher suite ${cipherSuite}`);
  let [texts, taken, round, epochs] = [0, 0, 0, 0];

  /** Whom a proposal of this epoch adds. A second Add of the same devices would make every commit invalid (RFC 9420 §12.2). */
  const awaited = new Set<string>();
  let epoch = 0;
  const mayCome = (actor: InteropDevice, { user }: InteropDevice): boolean =>
    actor.isIn && !isMember(user) && !awaited.has(user);
  const proposeAdd: Step = (actor, target) => {
    if (!mayCome(actor, target)) return undefined;
    awaited.add(target.user);
    return actor.proposeAdd(target.user);
  };
  const isMember = (user: string): boolean => devices.some((device) => device.user === user && device.isIn);
  const mayGo = (actor: InteropDevice, target: InteropDevice): boolean =>
    actor.isIn && isMember(target.user) && target.user !== creator.user && target.user !== actor.user;
  // ts-mls 1.6.4 cannot remove the last leaf of a tree, which a join in its place does.
  const isAlone = (): boolean => devices.filter(({ isIn }) => isIn).length === 1;
  const weighted: readonly [number, string, Step][] = [
    [6, 'send', (actor) => (actor.isIn ? actor.send(`text ${++texts} of ${actor.name}`) : undefined)],
    [2, 'update', (actor) => (actor.isIn ? actor.update() : undefined)],
    [4, 'add', (actor, to) => (mayCome(actor, to) ? actor.add(to.user) : undefined)],
    [3, 'propose-add', proposeAdd],
    [2, 'propose-remove', (actor, to) => (mayGo(actor, to) ? actor.proposeRemove(to.user) : undefined)],
    [2, 'propose-update', (actor) => (actor.isIn ? actor.proposeUpdate() : undefined)],
    [3, 'commit-pending', (actor) => (actor.isIn ? actor.commitPending() : undefined)],
    [1, 'remove', (actor, to) => (mayGo(actor, to) ? actor.remove(to.user) : undefined)],
    [1, 'leave', (actor) => (actor.isIn && actor.user !== creator.user ? actor.leave() : undefined)],
    [3, 'join-externally', (actor) => (!actor.isIn && isMember(actor.user) ? actor.joinExternally(id) : undefined)],
    [1, 'rejoin', (actor) => (actor.isIn && !isAlone() ? actor.joinExternally(id) : undefined)],
  ];
  const kinds = weighted.flatMap(([weight, name, step]) => Array.from({ length: weight }, () => ({ name, step })));

  const perform = async (actor: InteropDevice, target: InteropDevice): Promise<void> => {
    const kind = pick(kinds);
    if (kind === undefined) return;
    try {
      const task = kind.step(actor, target);
      if (task === undefined) return;
      taken++;
      log.push(`${actor.name} ${kind.name} ${target.user}`);
      await task;
      count(done, kind.name);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      count(refused, `${kind.name} ${codeOf(error)}`);
      log.push(`${actor.name} ${kind.name}: ${String(error)}`);
    }
  };

  while (taken < steps && problems.length === 0) {
    const actors = new Set<InteropDevice>();
    while (actors.size < WIDTH) {
      const actor = pick(devices);
      if (actor !== undefined) actors.add(actor);
    }
    await Promise.all([...actors].map((actor) => perform(actor, pick(devices) ?? actor)));
    problems.push(...(await disagreements(devices)));
    const now = (await devices.find(({ isIn }) => isIn)?.view())?.epoch ?? epoch;
    if (now !== epoch) awaited.clear();
    epoch = now;
    if (++round % ROUNDS_BETWEEN_MESSAGES > 0) continue;
    problems.push(...(await unreadTexts(devices, `round ${round}`)), ...(await disagreements(devices)));
  }
  if (creator.isIn) ({ epoch: epochs } = await creator.view());
  const messages = creator.texts.length;
  const seconds = (Date.now() - startedAt) / 1000;
  return { ...options, libraries, seconds, epochs, messages, done, refused, problems, log };
}

/** Two users for each library, and for each second one a further device with another library. */
function makeDevices(
  service: Service,
  program: Program,
  { cipherSuite, libraries, mark }: { cipherSuite: number; libraries: readonly LibraryName[]; mark: string },
): InteropDevice[] {
  const make = (library: LibraryName, user: string, device: string, isPublic: boolean): InteropDevice =>
    library === 'ts-mls'
      ? new OwnDevice(service, { user, device, cipherSuite })
      : new OtherDevice(service, program, { user, device, cipherSuite, library, isPublic });
  return libraries.flatMap((library, i) => [
    make(library, `${library}-a-${mark}`, 'phone', false),
    make(library, `${library}-b-${mark}`, 'phone', true),
    make(libraries[(i + 1) % libraries.length] ?? library, `${library}-b-${mark}`, 'laptop', false),
  ]);
}

/** A step may be refused: another step came first, or the library does not offer it. */
function isRefusal(error: unknown): boolean {
  return error instanceof ProblemError || error instanceof LibraryError || error instanceof NotOfferedError;
}

function codeOf(error: unknown): string {
  if (error instanceof ProblemError) return error.code;
  return error instanceof Error ? error.name : 'unknown';
}

/** A report as text. It contains the log when the run failed. */
export function renderWalk(report: WalkReport): string {
  const { seed, steps, cipherSuite, libraries, seconds, epochs, messages, done, refused, problems, log } = report;
  return [
    `cipher suite ${cipherSuite}, seed ${seed}, ${steps} steps (${libraries.join(', ')}): ${epochs} epochs, ${messages} messages in ${seconds.toFixed(1)} s`,
    `  done ${JSON.stringify(Object.fromEntries(done))}`,
    `  refused ${JSON.stringify(Object.fromEntries(refused))}`,
    ...(problems.length === 0
      ? ['  all members agreed after each round, and read all messages']
      : [...log.map((line) => `  ${line}`), ...problems.map((line) => `  PROBLEM ${line}`)]),
  ].join('\n');
}
