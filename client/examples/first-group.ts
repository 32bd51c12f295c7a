// The program of docs/tutorial/first-encrypted-group.md: two devices, one encrypted group. It tells what happens on
// stderr and prints the id of the group on stdout.
import { ParleyClient } from '../api/parley-client.ts';
import { MlsDevice } from '../device/device.ts';
import type { ReceivedMessage } from '../storage/group-store.ts';
import { createHttp } from '../api/http.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

process.stdout.write(`${await main(variable('URL', 'http://localhost:8080'))}\n`);

async function main(url: string): Promise<string> {
  // Each device makes its own keys and uploads key packages, with which others can add it while it is away.
  const alice = await openDevice(url, 'alice', 'phone', variable('ALICE'));
  const bob = await openDevice(url, 'bob', 'laptop', variable('BOB'));
  say('alice and bob have uploaded key packages');

  // The group's first leaf is alice's. The id of an MLS group is the id of its conversation.
  const group = await alice.createGroup();
  say(`alice made the group ${group.id}, epoch ${group.epoch}`);

  // Claims a key package of each device of bob, and adds them by one commit, which brings their Welcome.
  await alice.invite(group.id, 'bob');
  say(`alice added bob, epoch ${group.epoch}`);

  // Bob finds the Welcome, joins, and renews his keys: a commit of his own.
  const [joined] = await bob.joinGroups();
  if (joined === undefined) throw new Error('bob has no Welcome');
  say(`bob joined, epoch ${joined.epoch}`);

  await joined.send('Hello alice!');
  tell('alice', await group.receive());
  await group.send('Hello bob!');
  tell('bob', await joined.receive());

  const isSame = group.epochAuthenticator === joined.epochAuthenticator;
  say(isSame ? 'both have the same group secrets' : 'the group has forked');
  return group.id;
}

/** Own messages come back in the log as well. */
function tell(reader: string, messages: readonly ReceivedMessage[]): void {
  for (const { sender, text } of messages) if (sender !== reader) say(`${reader} reads "${text}" of ${sender}`);
}

function openDevice(baseUrl: string, user: string, device: string, token: string): Promise<MlsDevice> {
  const api = new ParleyClient(createHttp({ baseUrl, token: () => token }));
  // Everything is in memory here; an app gives a `store` on its database, so that a device outlives its process.
  return MlsDevice.open({ api, user, device });
}

function variable(name: string, otherwise?: string): string {
  const value = process.env[name] ?? otherwise;
  if (value === undefined) throw new Error(`${name} is not set: see docs/tutorial/first-encrypted-group.md`);
  return value;
}
