// The program of docs/tutorial/first-encrypted-group.md: two devices, one encrypted group. It prints each step on stderr
// and the id of the group on stdout.
import type { ReceivedMessage } from '../index.ts';
import { createHttp, MlsDevice, ParleyClient } from '../index.ts';
import { tsMls } from '../ts-mls/index.ts';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

try {
  process.stdout.write(`${await main(variable('PARLEY_URL', 'http://localhost:8080'))}\n`);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

async function main(url: string): Promise<string> {
  // Each device makes its own keys and uploads key packages. With these, others can add it while it is offline.
  const alice = await openDevice(url, 'alice', 'phone', variable('ALICE'));
  const bob = await openDevice(url, 'bob', 'laptop', variable('BOB'));
  say('alice and bob have uploaded key packages');

  // Alice has the first leaf of the group. The conversation has the same id as the MLS group.
  const group = await alice.createGroup();
  say(`alice made the group ${group.id}, epoch ${group.epoch}`);

  // Claims a key package of each device of bob, and adds all of them by one commit with a Welcome.
  await alice.invite(group.id, 'bob');
  say(`alice added bob, epoch ${group.epoch}`);

  // Bob finds the Welcome, joins, and gives his device new keys by a commit of his own.
  const [joined] = await bob.joinGroups();
  if (joined === undefined) throw new Error('bob has no Welcome');
  say(`bob joined, epoch ${joined.epoch}`);

  await joined.send('Hello alice!');
  print('alice', await group.receive());
  await group.send('Hello bob!');
  print('bob', await joined.receive());

  const isSame = group.epochAuthenticator === joined.epochAuthenticator;
  say(isSame ? 'both have the same group secrets' : 'the group has forked');
  return group.id;
}

/** Leaves out own messages, which are in the log too. */
function print(reader: string, messages: readonly ReceivedMessage[]): void {
  for (const { sender, text } of messages) if (sender !== reader) say(`${reader} reads "${text}" of ${sender}`);
}

function openDevice(baseUrl: string, user: string, device: string, token: string): Promise<MlsDevice> {
  const api = new ParleyClient(createHttp({ baseUrl, token: () => token }));
  // Everything is in memory here. An app passes a `store` on its database, so that a device survives the end of its process.
  return MlsDevice.open({ mls: tsMls, api, user, device });
}

function variable(name: string, otherwise?: string): string {
  const value = process.env[name] ?? otherwise;
  if (value === undefined) throw new Error(`${name} is not set: see docs/tutorial/first-encrypted-group.md`);
  return value;
}
