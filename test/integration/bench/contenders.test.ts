import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Submitter } from '../../../dispatch/submission.ts';
import type { Command } from '../../../domain/command.ts';
import type { Outcome } from '../../../domain/outcome.ts';
import { decideCommands } from '../../../store/decision/decide.ts';
import type { Notifier } from '../../../store/log/notifications.ts';
import { makeActorSubmitter } from '../../../tools/bench/contenders/actor/submitter.ts';
import { fromWire, peerCommand, toWire } from '../../../tools/bench/contenders/command.ts';
import { makeGraphileSubmitter } from '../../../tools/bench/contenders/graphile-worker/submitter.ts';
import { makePlainSqlSubmitter } from '../../../tools/bench/contenders/plain-sql/submitter.ts';
import { storeAlone } from '../../../tools/bench/contenders/single-writer/statement.ts';
import { type ServiceProcess, environmentOf, startNodeProcess } from '../../../tools/harness/processes.ts';
import { checkInvariants } from '../../../tools/harness/invariants.ts';
import { conversationId, seedConversations } from '../../../tools/load/seed.ts';
import { useDatabase } from '../../harness/database.ts';

// A comparison is fair only when everybody does the same job: each contender gets the same commands, and must answer what
// Parley's own deciding function answers. Restate's server is not started: its handler is `storeAlone`.

const database = useDatabase();
const notifier: Notifier = {
  entry: () => undefined,
  device: () => undefined,
  stream: () => undefined,
  read: () => undefined,
  setting: () => Promise.resolve(),
};
const [ALICE, BOB, STRANGER] = ['user-0', 'user-1', 'user-9'];
let worker: ServiceProcess | undefined;
let graphile: Awaited<ReturnType<typeof makeGraphileSubmitter>> | undefined;

beforeAll(async () => {
  worker = await startNodeProcess({
    name: 'graphile-worker',
    script: 'tools/bench/contenders/graphile-worker/worker.js',
    portVariable: 'ADMIN_PORT',
    env: environmentOf({ databaseUrl: database().url, temporalAddress: 'unused:1', taskQueue: 'unused' }),
  });
  graphile = await makeGraphileSubmitter(database().url, database().pool);
});
afterAll(async () => {
  await graphile?.close();
  await worker?.stop();
});

type Decide = (conversation: string, command: Command) => Promise<Outcome>;

function submitting(submitter: Submitter): Decide {
  return (conversation, command) =>
    submitter.submit({ conversation, command, deadline: Date.now() + 10_000, correlationId: 'test' });
}

const parley: Decide = async (conversation, command) => {
  const { outcomes } = await decideCommands(database().pool, conversation, [command]);
  const [outcome] = outcomes;
  if (outcome === undefined) throw new Error('It has no outcome');
  return outcome;
};

const CONTENDERS: Readonly<Record<string, () => Decide>> = {
  'plain-sql': () => submitting(makePlainSqlSubmitter(database().pool, notifier)),
  actor: () => submitting(makeActorSubmitter(database().pool, notifier)),
  'graphile-worker': () => {
    if (graphile === undefined) throw new Error('It did not start');
    return submitting(graphile);
  },
  restate: () => (conversation, command) => {
    const submission = { conversation, command, deadline: 0, correlationId: 'test' };
    return storeAlone(database().pool, fromWire(toWire(peerCommand(submission))));
  },
};

function command(
  kind: 'message' | 'commit',
  id: string,
  actor: string | undefined,
  epoch?: number,
  text = id,
): Command {
  const ciphertext = Buffer.from(text);
  const sha256 = createHash('sha256').update(ciphertext).digest('hex');
  return { kind, id, actor: actor ?? '', sha256, bytes: { ciphertext }, ...(epoch === undefined ? {} : { epoch }) };
}

/** Every answer that a contender can give, in one order. */
const SCRIPT: readonly Command[] = [
  command('message', 'm1', ALICE, 0),
  command('message', 'm2', BOB, 0),
  command('message', 'm1', ALICE, 0),
  command('message', 'm1', ALICE, 0, 'other bytes'),
  command('message', 'm1', BOB, 0),
  command('message', 'm3', STRANGER, 0),
  command('message', 'm4', ALICE, 1),
  command('message', 'm5', ALICE),
  command('commit', 'c1', ALICE, 0),
  command('commit', 'c2', BOB, 0),
  command('commit', 'c3', BOB, 2),
  command('commit', 'c1', ALICE, 0),
  command('commit', 'c4', BOB, 1),
  command('message', 'm6', BOB, 0),
  command('commit', 'c5', ALICE),
  command('message', 'm7', BOB, 0),
  command('message', 'm2', BOB, 0),
  command('message', 'm8', ALICE, 3),
];

async function start(name: string): Promise<string> {
  const id = conversationId(`${name} ${randomUUID()}`);
  await seedConversations(database().pool, [{ id, members: 2 }]);
  return id;
}

/** What a client learns of an outcome, without times and texts. */
function essence(outcome: Outcome): unknown {
  return outcome.status === 'refused'
    ? { status: outcome.status, code: outcome.code }
    : {
        status: outcome.status,
        seq: 'seq' in outcome ? outcome.seq : 0,
        epoch: 'epoch' in outcome ? outcome.epoch : 0,
      };
}

/** The chain over the log is Parley's alone: a contender computes none, which is in its favour. */
const isTheirs = ({ invariant }: { readonly invariant?: number | undefined }): boolean => invariant !== 13;

describe.each(Object.keys(CONTENDERS))('%s', (name) => {
  const decide = (): Decide => CONTENDERS[name]?.() ?? parley;

  test('answers what Parley answers, and leaves a log that keeps every invariant but that of the chain', async () => {
    const [ours, theirs] = [await start(name), await start(name)];
    const contender = decide();
    const answers = { ours: [] as unknown[], theirs: [] as unknown[] };
    for (const one of SCRIPT) {
      answers.ours.push(essence(await parley(ours, one)));
      answers.theirs.push(essence(await contender(theirs, one)));
    }
    expect(answers.theirs).toEqual(answers.ours);
    await checkInvariants(database().pool, theirs, isTheirs);
  });

  // Restate and graphile-worker call `storeAlone` for one command of a conversation at a time.
  test.skipIf(name === 'restate')(
    'accepts one of many commits to an epoch, and gives messages a dense seq',
    async () => {
      const conversation = await start(name);
      const contender = decide();
      const commits = Array.from({ length: 8 }, (_, i) => command('commit', `c${i}`, i % 2 === 0 ? ALICE : BOB, 0));
      const messages = Array.from({ length: 16 }, (_, i) => command('message', `m${i}`, i % 2 === 0 ? ALICE : BOB, 0));
      const outcomes = await Promise.all([...commits, ...messages].map((one) => contender(conversation, one)));
      const refused = outcomes.flatMap((outcome) => (outcome.status === 'refused' ? [outcome.code] : []));
      expect(refused).toEqual(Array<string>(7).fill('epoch-conflict'));
      await checkInvariants(database().pool, conversation, isTheirs);
    },
  );
});
