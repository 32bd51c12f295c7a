import { fromBase64, sha256Hex } from '../kit/bytes.ts';
import { createHttp } from '../kit/http.ts';
import type { Cast } from './cast.ts';
import { agree, gather } from './cast.ts';
import type { Checks } from './checks.ts';
import { createChecks, refusal, within } from './checks.ts';
import type { Listener } from './listener.ts';
import { listen } from './listener.ts';

export interface ScenarioOptions {
  readonly url: string;
  /** A bearer token of a user. */
  readonly tokenFor: (user: string) => Promise<string>;
  /** Told each check, one line at a time. */
  readonly say: (line: string) => void;
}

/** Invariant 8: a removed member's stream closes within 2 s. */
const STREAM_LIMIT_MS = 2_000;
const SETTLE_LIMIT_MS = 5_000;

/** Three MLS devices use a running service as apps would; gives the labels of the checks that failed. */
export async function runScenario({ url, tokenFor, say }: ScenarioOptions): Promise<readonly string[]> {
  const checks = createChecks(say);
  const cast = await gather(checks, (user) => createHttp({ baseUrl: url, token: () => tokenFor(user) }));
  const listeners = [cast.bob, cast.carol].map(({ client, group }) => listen(client.http, cast.id, group.position));
  const [toBob, toCarol] = listeners;
  if (toBob === undefined || toCarol === undefined) throw new Error('two listen');
  const joined = cast.bob.group.position;
  try {
    await talk(checks, cast);
    await race(checks, cast);
    await countUnread(checks, cast);
    await part(checks, cast, toCarol);
    await checkStream(checks, cast, toBob, joined);
  } finally {
    await Promise.all(listeners.map((listener) => listener.stop()));
  }
  return checks.failures;
}

async function talk({ check }: Checks, { all }: Cast): Promise<void> {
  await Promise.all(all.map(({ user, group }) => group.send(`hello from ${user}`)));
  for (const { group } of all) await group.receive();
  const read = all.map(({ group }) => group.history.map(({ seq, text }) => `${seq} ${text}`).join('\n'));
  const complete = all.every(({ group }) => group.history.length === 3 && group.undecryptable.length === 0);
  check('three messages were decrypted by all three, in the same order', complete && new Set(read).size === 1);
}

async function race({ check }: Checks, { all, bob, carol, id }: Cast): Promise<void> {
  const before = bob.group.epoch;
  await Promise.all([bob.group.update(), carol.group.update()]);
  const conflicts = [...bob.group.conflicts, ...carol.group.conflicts];
  const [conflict] = conflicts;
  check(
    `bob and carol committed at epoch ${before} at once: one won`,
    conflicts.length === 1 && conflict !== undefined,
  );
  if (conflict === undefined) return;
  const { winner, currentEpoch } = conflict;
  const { entries } = await bob.client.log(id, { after: winner.seq - 1, limit: 1 });
  const [won] = entries;
  const isWinner = won?.kind === 'commit' && won.epoch === before;
  const named = isWinner && sha256Hex(fromBase64(won.ciphertext ?? '')) === winner.sha256;
  check(`the other got 409 epoch-conflict with the winner, seq ${winner.seq}, and epoch ${currentEpoch}`, named);
  for (const { group } of all) await group.receive();
  const isNext = all.every(({ group }) => group.epoch === before + 2);
  check(`the loser caught up and committed again: everybody is at epoch ${before + 2}`, isNext);
  check('all three have the same epoch authenticator', agree(all));
}

async function countUnread({ check }: Checks, { alice, bob, id }: Cast): Promise<void> {
  const unread = async (): Promise<number> => (await bob.client.conversation(id)).unread;
  await bob.client.markRead(id);
  await alice.group.send('first');
  await alice.group.send('second');
  check('two messages later bob has 2 unread', (await unread()) === 2);
  await alice.client.incrementUnread(id);
  check('an increment makes it 3', await within(SETTLE_LIMIT_MS, async () => (await unread()) === 3));
  check('once he has read, 0', (await bob.client.markRead(id)) === 0 && (await unread()) === 0);
}

async function part({ check }: Checks, { alice, bob, carol, id }: Cast, toCarol: Listener): Promise<void> {
  await alice.group.remove(carol.user);
  await alice.group.receive(); // up to its own removing commit
  const removal = alice.group.position;
  const told = await within(STREAM_LIMIT_MS, () => toCarol.removedAt() === removal);
  check('alice removed carol, whose live stream said so and ended', told && toCarol.seqs.at(-1) === removal);
  await alice.group.send('carol cannot read this');

  await carol.group.receive();
  check('carol read up to the commit that removed her', carol.group.isRemoved && carol.group.position === removal);
  const reading = await refusal(carol.client.log(id, { after: removal }), 'removed');
  check('reading on is refused: 403 removed', reading?.status === 403 && reading.details.seq === removal);
  const { entries } = await alice.client.log(id, { after: removal });
  const ciphertext = entries[0]?.ciphertext ?? '';
  const sending = await refusal(carol.client.send(id, { id: `late-${removal}`, ciphertext }), 'removed');
  check('sending is refused as well', sending?.status === 403);

  await bob.group.receive();
  const heard = bob.group.history.at(-1)?.text === 'carol cannot read this';
  check('bob read the message that carol did not', heard && toCarol.seqs.every((seq) => seq <= removal));
  check('alice and bob are in the same group state', agree([alice, bob]));
}

async function checkStream({ check }: Checks, { alice, id }: Cast, toBob: Listener, joined: number): Promise<void> {
  const { lastSeq } = await alice.client.conversation(id);
  await within(STREAM_LIMIT_MS, () => toBob.seqs.at(-1) === lastSeq);
  const gapFree = toBob.seqs.length === lastSeq - joined && toBob.seqs.every((seq, i) => seq === joined + 1 + i);
  check(`bob's live stream had every entry from ${joined + 1} to ${lastSeq}, in order`, gapFree);
}
