import { createHttp, fromBase64, sha256Hex } from '../../client/index.ts';
import type { Cast, Player } from './cast.ts';
import { agree, gather, joinWithTablet } from './cast.ts';
import type { Checks } from './checks.ts';
import { createChecks, refusal, within } from './checks.ts';
import type { Listener } from './listener.ts';
import { listen } from './listener.ts';
import { own } from '../../domain/own.ts';

export interface ScenarioOptions {
  readonly url: string;
  /** A bearer token of a user's device. */
  readonly tokenFor: (user: string, device: string) => Promise<string>;
  /** Called with one line for each check. */
  readonly say: (line: string) => void;
  /** How long what must come may take, on a machine that is busy with something else too. @default the limits that users get */
  readonly patienceMs?: number;
}

/** How long what must come may take. */
interface Limits {
  readonly streamMs: number;
  readonly settleMs: number;
}

/** Invariant 8: the stream of a removed member says so within 2 s. */
const STREAM_LIMIT_MS = 2_000;
const SETTLE_LIMIT_MS = 5_000;

/** MLS devices of three users use a running service as apps would. Returns the labels of the failed checks. */
export async function runScenario({ url, tokenFor, say, patienceMs }: ScenarioOptions): Promise<readonly string[]> {
  const limits: Limits = { streamMs: patienceMs ?? STREAM_LIMIT_MS, settleMs: patienceMs ?? SETTLE_LIMIT_MS };
  const checks = createChecks(say);
  const httpFor = (user: string, device: string): ReturnType<typeof createHttp> =>
    createHttp({ baseUrl: url, token: () => tokenFor(user, device) });
  const cast = await gather(checks, httpFor);
  const joined = cast.laptop.group.position;
  const [toLaptop, toCarol] = await Promise.all([
    listen(cast.laptop.device, cast.id),
    listen(cast.carol.device, cast.id),
  ]);
  try {
    await talk(checks, cast);
    await race(checks, cast);
    await joinWithTablet(checks, cast, httpFor);
    await countUnread(checks, cast, limits);
    await part(checks, cast, toCarol, limits);
    await checkStream(checks, cast, { listener: toLaptop, joined }, limits);
  } finally {
    await Promise.all([toLaptop.stop(), toCarol.stop()]);
  }
  return checks.failures;
}

async function talk({ check }: Checks, { all }: Cast): Promise<void> {
  await Promise.all(all.map(({ user, device, group }) => group.send(`hello from ${user}'s ${device.device}`)));
  for (const { group } of all) await group.receive();
  const read = all.map(({ group }) => group.history.map(({ seq, text }) => `${seq} ${text}`).join('\n'));
  const complete = all.every(({ group }) => group.history.length === all.length && group.undecryptable.length === 0);
  check('a message of each device was decrypted by all, in the same order', complete && new Set(read).size === 1);
}

async function race({ check }: Checks, { all, alice, bob, id }: Cast): Promise<void> {
  const before = bob.group.epoch;
  const known = [alice, bob].flatMap(({ group }) => group.conflicts);
  await Promise.all([alice.group.update(), bob.group.update()]);
  const conflicts = [alice, bob]
    .flatMap(({ group }) => group.conflicts)
    .filter((conflict) => !known.includes(conflict));
  const [conflict] = conflicts;
  check(
    `alice and bob committed at epoch ${before} at once: one won`,
    conflicts.length === 1 && conflict !== undefined,
  );
  if (conflict === undefined) return;
  const { winner, currentEpoch } = conflict;
  const { entries } = await bob.client.log(id, { after: winner.seq - 1, limit: 1 });
  const [won] = entries;
  const isWinner = won?.kind === 'commit' && won.epoch === before;
  const named = isWinner && (await sha256Hex(fromBase64(won.ciphertext ?? ''))) === winner.sha256;
  check(`the other got 409 epoch-conflict with the winner, seq ${winner.seq}, and epoch ${currentEpoch}`, named);
  for (const { group } of all) await group.receive();
  const isNext = all.every(({ group }) => group.epoch === before + 2);
  check(`the loser caught up and committed again: everybody is at epoch ${before + 2}`, isNext);
  check('all devices have the same epoch authenticator', agree(all));
}

async function countUnread({ check }: Checks, { alice, bob, id }: Cast, { settleMs }: Limits): Promise<void> {
  const unread = async (): Promise<number> => (await bob.client.conversation(id)).unread;
  await bob.client.markRead(id);
  await alice.group.send('first');
  await alice.group.send('second');
  check('two messages later bob has 2 unread', (await unread()) === 2);
  await alice.client.incrementUnread(id);
  check('an increment makes it 3', await within(settleMs, async () => (await unread()) === 3));
  check('after he read them, 0', (await bob.client.markRead(id)) === 0 && (await unread()) === 0);
}

async function part(
  { check }: Checks,
  { alice, bob, carol, laptop, id }: Cast,
  toCarol: Listener,
  { streamMs }: Limits,
): Promise<void> {
  await alice.group.remove(carol.user);
  await alice.group.receive(); // up to its own removing commit
  const removal = alice.group.position;
  const isRemovalSeen = await within(streamMs, () => toCarol.removedAt() === removal);
  check('alice removed carol, whose live stream said so', isRemovalSeen && toCarol.seqs.at(-1) === removal);
  await alice.group.send('carol cannot read this');

  await carol.group.receive();
  check('carol read up to the commit that removed her', carol.group.isRemoved && carol.group.position === removal);
  const reading = await refusal(carol.client.log(id, { after: removal }), 'removed');
  check(
    'the service refuses to let her read more: 403 removed',
    reading?.status === 403 && reading.details.seq === removal,
  );
  const { entries } = await alice.client.log(id, { after: removal });
  const ciphertext = entries[0]?.ciphertext ?? '';
  const sending = await refusal(carol.client.send(id, { id: `late-${removal}`, ciphertext }), 'removed');
  check('the service refuses her messages too', sending?.status === 403);

  const players: readonly Player[] = [bob, laptop];
  for (const { group } of players) await group.receive();
  const heard = players.every(({ group }) => group.history.at(-1)?.text === 'carol cannot read this');
  check(
    'bob read the next message on both devices, and carol did not',
    heard && toCarol.seqs.every((seq) => seq <= removal),
  );
  check('alice and bob are in the same group state', agree([alice, bob, laptop]));
}

async function checkStream(
  { check }: Checks,
  { alice, laptop, id }: Cast,
  { listener, joined }: { readonly listener: Listener; readonly joined: number },
  { streamMs }: Limits,
): Promise<void> {
  const { lastSeq } = await alice.client.conversation(id);
  await within(streamMs, () => listener.seqs.at(-1) === lastSeq);
  const { seqs } = listener;
  const gapFree = seqs.length === lastSeq - joined && seqs.every((seq, i) => seq === joined + 1 + i);
  check(`the live stream of bob's laptop had every entry from ${joined + 1} to ${lastSeq}, in order`, gapFree);
  const acked = own((await laptop.client.ack({ [id]: lastSeq })).positions, id);
  check(`it acknowledged entry ${lastSeq}: its next stream starts after that entry`, acked === lastSeq);
}
