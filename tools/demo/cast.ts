import type { Http, MlsGroup } from '../../client/index.ts';
import { MlsDevice, ParleyClient } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';
import type { Checks } from './checks.ts';

/** One MLS device of a user, with its group. */
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

/** Makes an HTTP client with the token of one device. */
export type HttpFor = (user: string, device: string) => Http;

type Connected = Omit<Player, 'group'>;

/** Alice creates a group. One commit adds bob, who has two devices, and carol; all join by the Welcome of this commit. */
export async function gather({ check }: Checks, httpFor: HttpFor): Promise<Cast> {
  // New user names for each run, so that the scenario can run again on the same service.
  const run = Date.now().toString(36);
  const connect = async (name: string, device: string): Promise<Connected> => {
    const user = `${name}-${run}`;
    const client = new ParleyClient(httpFor(user, device));
    return { user, client, device: await MlsDevice.open({ mls: tsMls, api: client, user, device, keyPackages: 5 }) };
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
    throw new Error('a device did not join');
  }
  const everywhere = joined.every((player) => player.group.epoch === 4);
  check('the devices of bob and carol read their Welcome, joined, and each made new keys: epoch 4', everywhere);
  check('all four devices are in the same group state', agree(joined));
  return { alice: first, bob: second, laptop: third, carol: fourth, all: joined, id };
}

/** Another device of alice, without key packages and without a Welcome, joins by external commit. */
export async function joinWithTablet({ check }: Checks, { alice, all, id }: Cast, httpFor: HttpFor): Promise<Player> {
  const { user } = alice;
  const client = new ParleyClient(httpFor(user, 'tablet'));
  const device = await MlsDevice.open({ mls: tsMls, api: client, user, device: 'tablet', keyPackages: 0 });
  const group = await device.joinExternally(id);
  const tablet = { user, client, device, group };
  for (const player of all) await player.group.receive();
  check('alice’s tablet joined by external commit, with the GroupInfo from the service', agree([...all, tablet]));
  return tablet;
}

/** Do all have the same epoch authenticator (RFC 9420 §8.7)? */
export function agree(players: readonly Player[]): boolean {
  return new Set(players.map(({ group }) => group.epochAuthenticator)).size === 1;
}
