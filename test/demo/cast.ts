import { ParleyClient } from '../kit/client.ts';
import { MlsDevice } from '../kit/device.ts';
import type { MlsGroup } from '../kit/group.ts';
import type { Http } from '../kit/http.ts';
import type { Checks } from './checks.ts';

/** A user with one MLS device and its place in the group. */
export interface Person {
  readonly user: string;
  readonly client: ParleyClient;
  readonly device: MlsDevice;
  readonly group: MlsGroup;
}

export interface Cast {
  readonly alice: Person;
  readonly bob: Person;
  readonly carol: Person;
  readonly all: readonly Person[];
  /** Conversation id. */
  readonly id: string;
}

type Connected = Omit<Person, 'group'>;

/** Alice makes a group and adds bob and carol, who join by their Welcome. */
export async function gather({ check }: Checks, httpFor: (user: string) => Http): Promise<Cast> {
  // Names of their own, so that the scenario can run again on the same service.
  const run = Date.now().toString(36);
  const connect = async (name: string): Promise<Connected> => {
    const user = `${name}-${run}`;
    const client = new ParleyClient(httpFor(user));
    return { user, client, device: await MlsDevice.create({ api: client, user }) };
  };
  const [alice, bob, carol] = await Promise.all([connect('alice'), connect('bob'), connect('carol')]);
  const group = await alice.device.createGroup();
  const { id } = group;
  check(`alice created the MLS group ${id}`, (await alice.client.epoch(id)) === 0);

  await group.add(await Promise.all([bob.device.offerKeyPackage(), carol.device.offerKeyPackage()]));
  const { members } = await alice.client.members(id);
  check('one commit added bob and carol, with their Welcome in the same bundle', members.length === 3);

  const people: Person[] = [{ ...alice, group }];
  for (const person of [bob, carol]) {
    const joined = (await person.device.joinGroups()).find((candidate) => candidate.id === id);
    if (joined === undefined) throw new Error(`no Welcome for ${person.user}`);
    people.push({ ...person, group: joined });
  }
  const [first, second, third] = people;
  if (first === undefined || second === undefined || third === undefined) throw new Error('three people');
  check('bob and carol read the Welcome and joined at epoch 1', second.group.epoch === 1 && third.group.epoch === 1);
  check('all three are in the same group state', agree(people));
  return { alice: first, bob: second, carol: third, all: people, id };
}

/** Do all have the same epoch authenticator (RFC 9420 §8.7)? */
export function agree(people: readonly Person[]): boolean {
  return new Set(people.map(({ group }) => group.epochAuthenticator)).size === 1;
}
