import { randomBytes, randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { ProblemError, toBase64, toBase64Url } from '../../client/index.ts';
import { holdRows } from '../harness/row-locks.ts';
import { startServiceOnDatabase } from '../harness/service.ts';
import { spend } from '../../tools/harness/wait-until.ts';
import { useFaults } from './faults.ts';

const later = useFaults();
const LOCKED = 'The conversation is locked in the database';
const message = (): { id: string; ciphertext: string } => ({ id: randomUUID(), ciphertext: toBase64(randomBytes(40)) });

test('while a session holds the rows of 50 conversations, the workflows of others decide, and those of the 50 say why they cannot', async () => {
  const { service, database } = await startServiceOnDatabase(later, {
    apis: 1,
    workers: 1,
    env: { CONVERSATION_PATH: 'workflow' },
  });
  const client = (user: string): ReturnType<typeof service.clientOf> => service.clientOf(user, { attempts: 1 });
  const create = async (): Promise<string> => {
    const id = toBase64Url(randomBytes(18));
    // What is prepared here may be tried again: under load the service sheds what comes all at once.
    const alice = service.clientOf('alice');
    await alice.createConversation({
      id,
      protocol: 'opaque',
      members: ['bob'],
      policy: { externalJoin: 'nobody' },
    });
    await alice.send(id, message());
    return id;
  };
  const create10 = (): Promise<string[]> => Promise.all(Array.from({ length: 10 }, create));
  const locked: string[] = [];
  for (let i = 0; i < 5; i++) locked.push(...(await create10()));
  const free = await Promise.all([create(), create(), create()]);

  const release = await holdRows(database.url, locked);
  later('session', release);
  const messages = locked.map(message);
  let answered = 0;
  const whyNot = async (id: string, sent: ReturnType<typeof message>): Promise<unknown> => {
    for (;;) {
      const answer: unknown = await client('alice')
        .send(id, sent)
        .catch((error: unknown) => error);
      // On a slow machine there may be another reason to come back later, for everybody. It passes, and the lock stays.
      const isOther = answer instanceof ProblemError && answer.isRetryable && !answer.message.endsWith(LOCKED);
      if (!isOther) return answer;
      await spend(answer.retryAfterMs ?? 1000);
    }
  };
  const stuck = locked.map((id, i) => whyNot(id, messages[i] ?? message()).finally(() => answered++));
  // A slow machine may need a second try for these. Those that wait for locks must not be what they wait for.
  let rounds = 0;
  do {
    await Promise.all(
      free.flatMap((id) => [
        service.clientOf('bob').send(id, message()),
        service.clientOf('alice').commit(id, { commit: toBase64(randomBytes(30)) }),
      ]),
    );
    if (answered < stuck.length) rounds++;
  } while (answered < stuck.length);
  expect(rounds).toBeGreaterThan(0);
  for (const answer of await Promise.all(stuck)) {
    expect(answer).toMatchObject({
      status: 503,
      code: 'unavailable',
      message: `503 unavailable: ${LOCKED}`,
    });
  }

  await release();
  const after = await Promise.all(locked.map((id, i) => service.clientOf('alice').send(id, messages[i] ?? message())));
  expect(after.map(({ seq, status }) => [seq, status])).toEqual(after.map(() => [2, 'accepted']));
});
