import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { base64 } from '../../harness/api/conversations.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { privateMessage } from '../../harness/api/frames.ts';
import type { MlsGroup } from '../../../client/index.ts';
import { createHttp, MlsDevice, ParleyClient } from '../../../client/index.ts';
import { tsMls } from '../../../client/ts-mls/index.ts';
import { useDatabase } from '../../harness/database.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { type ByteWorld, byteAttempts, takesBytes } from './byte-requests.ts';
import { type Corpus, kindOf, kindOfField, makeCorpus } from './corpus.ts';
import { undocumented } from './judge.ts';
import { memoryNow, watchEventLoop } from './memory.ts';
import { damaged, retargeted } from './mutate.ts';
import { fuzzOptions } from '../../../tools/fuzz/options.ts';
import { inParallel } from './parallel.ts';
import { USERS, type World, startWorld } from './world.ts';

const { frames: FRAMES, seed: SEED } = fuzzOptions();
const IN_FLIGHT = 6;
/** Requests of one round. Each round has its own groups, because an accepted commit ends the epoch for the others. */
const ROUND = 300;
/** Share of all frames before the first memory reading. Code that is loaded and compiled meanwhile is no leak. */
const WARM_UP = 0.25;
/** Far more than the caches for a database of this size need, and far less than a leak of all frames would need. */
const HEAP_GROWTH_MB = 40;
const SHOWN = 8;
/** Members of the group that must survive. The other users do not know them. */
const GROUP = ['alice', 'bob'] as const;
const TIMEOUT_MS = 120_000 + FRAMES * 20;

const database = useDatabase();
let world: World;
beforeAll(async () => {
  world = await startWorld(database().pool);
});
afterAll(() => world.stop());

describe('with any bytes as input', { timeout: TIMEOUT_MS }, () => {
  test(`${FRAMES} damaged frames get documented answers, and memory stays flat (seed ${SEED})`, async () => {
    const { api, sender } = world;
    const targets = api.operations.filter((operation) => takesBytes(operation, api.schemas));
    expect(targets.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['sendMessages', 'commit', 'addMembers', 'createConversation', 'removeMember']),
    );
    const findings = new Map<string, string>();
    const accepted = new Map<string, number>();
    const delay = watchEventLoop();
    let warm: ReturnType<typeof memoryNow> | undefined;
    let sent = 0;
    for (let round = 0; sent < FRAMES; round++) {
      const corpora = await Promise.all([2, 3].map(makeCorpus));
      for (const [i, corpus] of corpora.entries())
        await world.makeMls(corpus, i === 0 ? { externalJoin: 'anyone' } : {});
      const bytes = byteWorld(corpora, await world.makeOpaque());
      const attempts = fc.sample(fc.oneof(...targets.map((operation) => byteAttempts(operation, bytes))), {
        numRuns: ROUND,
        seed: SEED + round,
      });
      await inParallel(attempts, IN_FLIGHT, async ({ operation, request, user, damaged: count }) => {
        const answer = await sender.send(request);
        sent += count;
        if (answer.status < 300 && count > 0) accepted.set(operation.name, (accepted.get(operation.name) ?? 0) + 1);
        for (const finding of undocumented(api, operation, answer)) {
          const name = `${operation.name} ${finding.replaceAll(/"requestId":"[^"]*"/g, '')}`;
          if (!findings.has(name))
            findings.set(
              name,
              `${user}: ${request.target} ${String(request.body).slice(0, 3000)} ${world.errorOf(answer)}`,
            );
        }
      });
      if (warm === undefined && sent >= FRAMES * WARM_UP) warm = memoryNow();
    }
    const end = memoryNow();
    const report = [
      `${sent} damaged frames in ${targets.length} operations`,
      `accepted: ${JSON.stringify(Object.fromEntries(accepted))}`,
      `heap ${warm?.heapMb.toFixed(1)} -> ${end.heapMb.toFixed(1)} MB, resident ${warm?.residentMb.toFixed(0)} -> ${end.residentMb.toFixed(0)} MB`,
      delay.stop(),
    ];
    process.stderr.write(`${report.join('\n')}\n`);
    expect([...findings].slice(0, SHOWN).map(([name, how]) => `${name}\n    ${how}`)).toEqual([]);
    expect(world.errors()).toEqual([]);
    expect(end.heapMb - (warm?.heapMb ?? 0)).toBeLessThan(HEAP_GROWTH_MB);
  });

  test('invariants 1 to 8 hold for every conversation afterwards, and each still accepts messages', async () => {
    const { rows } = await database().pool.query<{ id: string; protocol: string; epoch: number }>(
      'select id, protocol, epoch from conversation where deleted_at is null order by key',
    );
    for (const { id } of rows) await checkInvariants(database().pool, id);
    let working = 0;
    for (const { id, epoch, protocol } of rows.slice(-20)) {
      const ciphertext = base64(protocol === 'mls' ? privateMessage(id, epoch) : 'hello');
      const body = { id: 'after the flood', ciphertext };
      const answer = await world.service.ask(`POST /v1/conversations/${id}/messages`, { user: 'user-0', body });
      // A request may have removed user-0, left in its name, or created a successor.
      expect([200, 403, 404, 410], answer.text).toContain(answer.status);
      if (answer.status === 200) working++;
    }
    expect(working).toBeGreaterThan(0);
  });

  test('members of a group still read each other while one of them sends garbage and outsiders send any bytes', async () => {
    const { sender, api } = world;
    const { alice, bob } = await makeGroup();
    const [corpus = await makeCorpus(2)] = world.corpora;
    const groupId = Buffer.from(alice.id, 'base64url');
    const inLog = ['application', 'proposal'];
    const own = corpus.frames
      .filter((frame) => inLog.includes(kindOf(frame)) && frame.name !== 'key package')
      .map(({ bytes }) => retargeted(bytes, groupId, alice.epoch));
    const garbage = fc.sample(damaged(own), { numRuns: 300, seed: SEED });
    await inParallel(garbage, IN_FLIGHT, async (bytes) => {
      const headers = { authorization: `Bearer ${await tokenOf(GROUP[1])}`, 'content-type': 'application/json' };
      const body = JSON.stringify({ id: crypto.randomUUID(), ciphertext: base64(bytes) });
      const target = `/v1/conversations/${alice.id}/messages`;
      expect((await sender.send({ method: 'POST', target, headers, body })).status).toBeLessThan(500);
    });
    const outsiders = { ...byteWorld([corpus], alice.id), conversations: [alice.id], senders: ['stranger'] };
    const targets = api.operations.filter((one) => takesBytes(one, api.schemas) && one.template.includes('{id}'));
    const attempts = fc.sample(fc.oneof(...targets.map((one) => byteAttempts(one, outsiders))), {
      numRuns: 300,
      seed: SEED,
    });
    await inParallel(attempts, IN_FLIGHT, async ({ request }) => {
      expect((await sender.send(request)).status).not.toBeLessThan(400);
    });

    await alice.send('still here');
    expect((await bob.receive()).map(({ text }) => text)).toEqual(['still here']);
    await bob.update();
    await alice.receive();
    await alice.send('and in a new epoch');
    expect((await bob.receive()).map(({ text }) => text)).toEqual(['and in a new epoch']);
    expect(bob.epochAuthenticator).toBe(alice.epochAuthenticator);
    await checkInvariants(database().pool, alice.id);
  });
});

function byteWorld(corpora: readonly Corpus[], opaque: string): ByteWorld {
  const frames = corpora.flatMap((corpus) => corpus.frames);
  const all = frames.map(({ bytes }) => bytes);
  const fitting = (field: string): Uint8Array[] => {
    const kinds = kindOfField(field);
    return frames.filter((frame) => kinds.includes(kindOf(frame))).map(({ bytes }) => bytes);
  };
  return {
    schemas: world.api.schemas,
    conversations: [...corpora.flatMap(({ conversation }) => [conversation, conversation]), opaque],
    users: USERS,
    senders: ['user-0', 'user-0', 'user-1', 'user-1', 'joiner', 'stranger'],
    authorization: world.authorization,
    frames: fitting,
    damaged: (field) => {
      const own = fitting(field);
      const elsewhere = fc.oneof(fc.constantFrom(...all), damaged(all));
      return own.length === 0 ? elsewhere : fc.oneof({ arbitrary: damaged(own), weight: 5 }, elsewhere);
    },
  };
}

/** A group of two real devices. */
async function makeGroup(): Promise<{ alice: MlsGroup; bob: MlsGroup }> {
  const open = async (user: string): Promise<MlsDevice> => {
    const token = await tokenOf(user, { device: 'phone' });
    const api = new ParleyClient(createHttp({ baseUrl: world.service.url, token: () => token }));
    return MlsDevice.open({ mls: tsMls, api, user, device: 'phone', keyPackages: 3 });
  };
  const [first, second] = [await open(GROUP[0]), await open(GROUP[1])];
  const { id } = await first.createGroup();
  await first.invite(id, GROUP[1]);
  await second.joinGroups();
  for (const device of [first, second]) await device.sync();
  return { alice: first.group(id), bob: second.group(id) };
}
