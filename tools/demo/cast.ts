import { ParleyClient } from '../../client/api/parley-client.ts';
import { MlsDevice } from '../../client/device/device.ts';
import type { MlsGroup } from '../../client/group/group.ts';
import type { Http } from '../../client/api/http.ts';
import type { Checks } from './checks.ts';

/** One MLS device of a user, and its place in the group. */
export interface Player {
  readonly user: string;
  readonly client: ParleyClient;
  readonly device: MlsDevice;
  readonly group: MlsGroup;
}

export interface Cast {
  readonly alice: Player;
  readonly bob: Player;
  /** Bob's other device. */
  readonly laptop: Player;
  readonly carol: Player;
  readonly all: readonly Player[];
  /** Conversation id. */
  readonly id: string;
}

/** HTTP with the token of one device. */
export type HttpFor = (user: string, device: string) => Http;

type Connected = Omit<Player, 'group'>;

/** Alice makes a group and adds bob, who has two devices, and carol; they join by the Welcome that one commit brought. */
export async function gather({ check }: Checks, httpFor: HttpFor): Promise<Cast> {
  // Names of their own, so that the scenario can run again on the same service.
  const run = Date.now().toString(36);
  const connect = async (name: string, device: string): Promise<Connected> => {
    const user = `${name}-${run}`;
    const client = new ParleyClient(httpFor(user, device));
    return { user, client, device: await MlsDevice.open({ api: client, user, device, keyPackages: 5 }) };
  };
  const [alice, bob, laptop, carol] = await Promise.all([
    connect('alice', 'phone'),
    connect('bob', 'phone'),
    connect('bob', 'laptop'),
    connect('carol', 'phone'),
  ]);
  const stock = await bob.client.keyPackageCount();
  check('every device uploaded key packages, and one of last resort', stock.available === 5 && stock.lastResort);

  const group = await alice.device.createGroup();
  const { id } = group;
  check(`alice created the MLS group ${id}`, (await alice.client.epoch(id)) === 0);

  const { invited } = await alice.device.invite(id, bob.user, carol.user);
  const { members } = await alice.client.members(id);
  const added = invited.length === 2 && members.length === 3 && group.epoch === 1 && group.members.length === 4;
  check('alice claimed key packages of bob and carol; one commit added their three devices', added);

  const joined: Player[] = [{ ...alice, group }];
  for (const player of [bob, laptop, carol]) {
    await player.device.joinGroups();
    joined.push({ ...player, group: player.device.group(id) });
  }
  for (const player of joined) await player.group.receive();
  const [first, second, third, fourth] = joined;
  if (first === undefined || second === undefined || third === undefined || fourth === undefined) {
    throw new Error('four devices');
  }
  const everywhere = joined.every((player) => player.group.epoch === 4);
  check('bob’s devices and carol’s read their Welcome, joined, and each renewed its keys: epoch 4', everywhere);
  check('all four devices are in the same group state', agree(joined));
  return { alice: first, bob: second, laptop: third, carol: fourth, all: joined, id };
}

/** Another device of a user, with no key package and no Welcome: it joins by external commit. */
export async function joinWithTablet({ check }: Checks, { alice, all, id }: Cast, httpFor: HttpFor): Promise<Player> {
  const { user } = alice;
  const client = new ParleyClient(httpFor(user, 'tablet'));
  const device = await MlsDevice.open({ api: client, user, device: 'tablet', keyPackages: 0 });
  const group = await device.joinExternally(id);
  const tablet = { user, client, device, group };
  for (const player of all) await player.group.receive();
  check('alice’s tablet joined with the GroupInfo that the service keeps, by external commit', agree([...all, tablet]));
  return tablet;
}

/** Do all have the same epoch authenticator (RFC 9420 §8.7)? */
export function agree(players: readonly Player[]): boolean {
  return new Set(players.map(({ group }) => group.epochAuthenticator)).size === 1;
}
