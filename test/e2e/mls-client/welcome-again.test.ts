import { expect, test } from 'vitest';
import { ParleyClient } from '../../../client/index.ts';
import { parseFrame } from '../../../mls/frame.ts';
import { useDatabase } from '../../harness/database.ts';
import { remember, restartGroups, settled } from '../../harness/restarts.ts';
import { useService } from '../../harness/service.ts';

const database = useDatabase();
const service = useService({ apis: 1, workers: 1 }, database);
const gather = restartGroups(service);

/** Its acknowledgements of Welcomes do not arrive. Notes the epoch of each message that it sends. */
class ForgottenClient extends ParleyClient {
  readonly epochs: number[] = [];

  override ackWelcome(): Promise<void> {
    return Promise.reject(new TypeError('connection lost'));
  }

  override send(...[id, message]: Parameters<ParleyClient['send']>): ReturnType<ParleyClient['send']> {
    const frame = parseFrame(Buffer.from(message.ciphertext, 'base64'));
    if ('epoch' in frame && typeof frame.epoch === 'number') this.epochs.push(frame.epoch);
    return super.send(id, message);
  }
}

test('a device does not begin its group again with a Welcome that a restored service gives out a second time', async () => {
  const { id, members, open } = await gather(['alice', 'bob']);
  const [alice, bob] = members;
  if (alice === undefined || bob === undefined) throw new Error('two');
  const user = alice.device.user.replace('alice', 'dave');
  const api = new ForgottenClient(service().clientOf(user, { device: 'phone' }).http);
  const reasons: string[] = [];
  const dave = await open('dave', {
    ...{ api, updateOnJoin: false, onRejoin: (_group, { kind }) => void reasons.push(kind) },
    // It has a last resort only, whose secrets stay.
    keyPackages: 0,
  });
  for (const member of [alice, bob, dave]) await member.goOffline();
  await alice.device.invite(id, user);
  await expect(dave.device.joinGroups()).rejects.toThrow('some groups could not be joined');
  const { epoch } = dave.group();
  const goBack = await remember(database());
  await dave.group().send('lost');
  await bob.group().update();
  await dave.group().receive();
  expect(api.epochs).toEqual([epoch]);

  await goBack();
  await dave.group().compare();
  expect(dave.events).toMatchObject([{ type: 'log-restarted', isDead: true }]);
  await dave.device.joinGroups().catch(() => undefined);
  await dave.group().settle();
  expect(reasons).toContain('welcome-refused');
  for (const member of [alice, bob, dave]) member.goOnline();
  await settled([alice, bob, dave], ['lost']);
  // The keys of the epoch that the Welcome began are used up.
  const later = api.epochs.slice(1);
  expect(later).not.toEqual([]);
  expect(Math.min(...later)).toBeGreaterThan(epoch);
});
