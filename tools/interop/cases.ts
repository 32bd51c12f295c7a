import { newId } from '../../client/index.ts';
import { LIMITS_OFF } from '../harness/limits-off.ts';
import type { Service } from '../harness/service.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { disagreements, unreadTexts } from './agreement.ts';
import type { InteropDevice } from './device.ts';
import { OtherDevice } from './other-device.ts';
import { OwnDevice } from './own-device.ts';
import type { Library, Program } from './program.ts';
import type { LibraryName } from './walk.ts';

export interface CaseContext {
  readonly service: Service;
  readonly program: Program;
}

/** @returns one line for each thing that is not as it should be */
export type InteropCase = (context: CaseContext) => Promise<string[]>;

/** What the cases need of a service: no limits, and a key for its signatures as an external sender. */
export const INTEROP_ENV: Readonly<Record<string, string>> = {
  ...LIMITS_OFF,
  EXTERNAL_SENDER_KEY: 'only for tests: 32 characters or more',
};
const CIPHER_SUITE = 1;
const LARGE = 120;

function deviceMaker({ service, program }: CaseContext): (library: LibraryName, user: string) => InteropDevice {
  const mark = newId().slice(0, 6);
  return (library, name) => {
    const [user, device] = [`${name}-${mark}`, 'phone'];
    return library === 'ts-mls'
      ? new OwnDevice(service, { user, device, cipherSuite: CIPHER_SUITE })
      : new OtherDevice(service, program, {
          ...{ user, device, cipherSuite: CIPHER_SUITE, library },
          ...{ isPublic: true, updateOnJoin: false },
        });
  };
}

/** Three devices of different users in a group that the first one made. */
interface Three {
  readonly id: string;
  readonly devices: readonly [InteropDevice, InteropDevice, InteropDevice];
}

async function threeIn(
  context: CaseContext,
  libraries: readonly [LibraryName, LibraryName, LibraryName],
  options?: { readonly externalSender: boolean },
): Promise<Three> {
  const make = deviceMaker(context);
  const [creator, second, third] = [make(libraries[0], 'a'), make(libraries[1], 'b'), make(libraries[2], 'c')];
  for (const device of [creator, second, third]) await device.open();
  const id = await creator.create({}, options);
  await creator.add(second.user, third.user);
  const devices = [creator, second, third] as const;
  await disagreements(devices);
  return { id, devices };
}

/** One commit of OpenMLS or mls-rs adds 120 devices of both, and a member with ts-mls processes it. */
const addMany =
  (committer: Library): InteropCase =>
  async (context) => {
    const make = deviceMaker(context);
    const [creator, own] = [make(committer, 'creator'), make('ts-mls', 'own')];
    const many = Array.from({ length: LARGE }, (_, i) => make(i % 2 === 0 ? 'openmls' : 'mls-rs', `many${i}`));
    for (const device of [creator, own, ...many]) await device.open();
    await creator.create({});
    await creator.add(own.user);
    await own.sync();
    await creator.add(...many.map(({ user }) => user));
    const few = [creator, own, ...many.slice(0, 6)];
    const problems = await disagreements([creator, own, ...many]);
    if (many.some(({ isIn }) => !isIn)) problems.push('a device did not join');
    return [...problems, ...(await unreadTexts(few, 'many')), ...(await disagreements(few))];
  };

/** A member leaves by a SelfRemove of its library; another member of the same library commits it. */
const selfRemove =
  (library: Library): InteropCase =>
  async (context) => {
    const {
      devices: [creator, leaver, other],
    } = await threeIn(context, [library, library, library]);
    await leaver.leave('self-remove');
    await other.commitPending();
    const problems = await disagreements([creator, other]);
    const { users } = await creator.view();
    if (users.includes(leaver.user)) problems.push('the leaf of the leaving member is still there');
    return [...problems, ...(await unreadTexts([creator, other], 'after'))];
  };

/** OpenMLS leaves by SelfRemove, and the committer's library does not know the type: the leaf goes with a later Remove. */
const unknownSelfRemove: InteropCase = async (context) => {
  const {
    devices: [creator, leaver, other],
  } = await threeIn(context, ['mls-rs', 'openmls', 'mls-rs']);
  await leaver.leave('self-remove');
  await other.update();
  const problems = await disagreements([creator, other]);
  await creator.remove(leaver.user);
  problems.push(...(await disagreements([creator, other])));
  if ((await other.view()).users.includes(leaver.user)) problems.push('nobody could remove the leaf');
  return [...problems, ...(await unreadTexts([creator, other], 'after'))];
};

/** OpenMLS leaves by SelfRemove, which OpenMLS does not commit beside ts-mls: the device with ts-mls removes the leaf. */
const selfRemoveBesideTsMls: InteropCase = async (context) => {
  const {
    devices: [creator, leaver, own],
  } = await threeIn(context, ['openmls', 'openmls', 'ts-mls']);
  await leaver.leave('self-remove');
  await own.commitPending();
  const problems = await disagreements([creator, own]);
  if ((await own.view()).users.includes(leaver.user)) problems.push('ts-mls still has the leaf of the leaving member');
  return [...problems, ...(await unreadTexts([creator, own], 'after'))];
};

/** A device lost its keys and comes back with new ones by external commit; a member removes the old leaf. */
const losesEverything =
  (library: LibraryName): InteropCase =>
  async (context) => {
    const { id, devices } = await threeIn(context, ['mls-rs', library, 'openmls']);
    const [creator, loser] = devices;
    await creator.update();
    (loser as OwnDevice | OtherDevice).lose();
    await loser.open();
    await loser.joinExternally(id);
    return [...(await disagreements(devices)), ...(await unreadTexts(devices, 'back'))];
  };

/** Somebody outside asks to join, and a member of any library lets it in. */
const asksToJoin =
  (asker: LibraryName, member: LibraryName): InteropCase =>
  async (context) => {
    const make = deviceMaker(context);
    const [creator, outsider, witness] = [make(member, 'a'), make(asker, 'b'), make('openmls', 'c')];
    for (const device of [creator, outsider, witness]) await device.open();
    const id = await creator.create({ externalJoin: 'request' });
    await creator.add(witness.user);
    await disagreements([creator, witness]);
    await outsider.askToJoin(id);
    await creator.commitPending();
    const devices = [creator, outsider, witness];
    const problems = await disagreements(devices);
    if (!outsider.isIn) problems.push('the outsider did not join');
    return [...problems, ...(await unreadTexts(devices, 'in'))];
  };

/** An operator removes a user: the service proposes it as an external sender, and a member of any library commits it. */
const serviceRemoves =
  (creating: LibraryName, committing: LibraryName): InteropCase =>
  async (context) => {
    const {
      devices: [creator, committer, victim],
    } = await threeIn(context, [creating, committing, 'openmls'], { externalSender: true });
    const { http } = context.service.clientOf('operator');
    const body = { reason: 'account-closed' };
    await http.json('POST', `/v1/admin/users/${encodeURIComponent(victim.user)}/off-boarding`, { body });
    const isProposed = async (): Promise<boolean> => {
      await committer.sync();
      return (await committer.view()).pending > 0;
    };
    await waitUntil(isProposed, { what: 'the service proposes the removal', timeoutMs: 60_000 });
    await committer.commitPending();
    const problems = await disagreements([creator, committer]);
    if ((await creator.view()).users.includes(victim.user))
      problems.push('the leaf of the removed user is still there');
    return [...problems, ...(await unreadTexts([creator, committer], 'after'))];
  };

/** All cases by name. */
export const CASES: ReadonlyMap<string, InteropCase> = new Map([
  ['120 devices in one commit of OpenMLS', addMany('openmls')],
  ['120 devices in one commit of mls-rs', addMany('mls-rs')],
  ['SelfRemove 0x000A of OpenMLS', selfRemove('openmls')],
  ['SelfRemove 0xF003 of mls-rs', selfRemove('mls-rs')],
  ['a SelfRemove that the committer does not know', unknownSelfRemove],
  ['a SelfRemove beside ts-mls', selfRemoveBesideTsMls],
  ['ts-mls lost everything and comes back', losesEverything('ts-mls')],
  ['OpenMLS lost everything and comes back', losesEverything('openmls')],
  ['mls-rs lost everything and comes back', losesEverything('mls-rs')],
  ['OpenMLS asks ts-mls to join', asksToJoin('openmls', 'ts-mls')],
  ['mls-rs asks OpenMLS to join', asksToJoin('mls-rs', 'openmls')],
  ['ts-mls asks mls-rs to join', asksToJoin('ts-mls', 'mls-rs')],
  ['the service removes from a group of ts-mls, and OpenMLS commits', serviceRemoves('ts-mls', 'openmls')],
  ['the service removes from a group of OpenMLS, and mls-rs commits', serviceRemoves('openmls', 'mls-rs')],
  ['the service removes from a group of mls-rs, and ts-mls commits', serviceRemoves('mls-rs', 'ts-mls')],
]);

/** Runs a case; an error counts as a problem. */
export async function runCase(name: string, context: CaseContext): Promise<string[]> {
  const run = CASES.get(name);
  if (run === undefined) throw new Error(`no case ${name}`);
  return run(context).catch((error: unknown) => [String(error)]);
}
