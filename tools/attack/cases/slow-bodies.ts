import type { AttackCase } from '../attack-case.ts';
import { type RawConnection, openConnection, requestHead, writeSlowly } from '../raw-connection.ts';
import { randomCiphertext } from '../../harness/opaque.ts';
import { seedConversation } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

const CONNECTIONS = 150;
const BODY_BYTES = 8 * 1024 * 1024;
/** What one user may hold in the memory of the process, with all that the runtime adds. 150 bodies are 1,200 MB. */
const MAX_GROWTH_MB = 400;
const HOLD_MS = 8000;

export const slowBodies: AttackCase = {
  name: 'slow-bodies',
  does: 'A member opens 150 connections and sends 8 MB less one byte of a commit on each. The last byte never comes.',
  work: 'Keeping 1.2 GB for requests that never begin.',
  hasShortForm: false,
  run: async (target) => {
    const tally = new Tally();
    const id = await seedConversation(target.pool, ['sloth', 'friend']);
    const token = await target.token('sloth');
    const head = requestHead('POST', `/v1/conversations/${id}/commits`, token, {
      'content-type': 'application/json',
      'content-length': String(BODY_BYTES),
    });
    const body = Buffer.alloc(BODY_BYTES - 1, 'A');
    const before = target.process?.residentMb() ?? 0;
    let highest = before;
    const watch = setInterval(() => (highest = Math.max(highest, target.process?.residentMb() ?? 0)), 100);
    let isOver = false;
    const connections: RawConnection[] = [];
    const send = async (): Promise<void> => {
      const connection = await openConnection(target.url).catch(() => undefined);
      if (connection === undefined) return;
      connections.push(connection);
      connection.socket.write(head);
      await writeSlowly(connection, body, () => isOver);
    };
    const sending = Promise.all(Array.from({ length: CONNECTIONS }, send));
    await pause(HOLD_MS);
    // Somebody else's large body must not be refused for the attacker's.
    const large = { id: 'large', ciphertext: randomCiphertext(500_000) };
    const friend = await target.ask(`POST /v1/conversations/${id}/messages`, { user: 'friend', body: large });
    tally.note(`a friend's message ${friend.status}`);
    tally.note('connections cut by the service', connections.filter((one) => one.isClosed()).length);
    isOver = true;
    for (const connection of connections) connection.close();
    await sending;
    clearInterval(watch);
    tally.note('MB of growth', Math.round(highest - before));
    return {
      achieved: tally.counts,
      failures: failuresOf({
        [`The process grew by ${Math.round(highest - before)} MB.`]: highest - before > MAX_GROWTH_MB,
        [`The message of somebody else was answered ${friend.status}.`]: friend.status !== 200,
      }),
    };
  },
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
