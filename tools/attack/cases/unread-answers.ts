import type { AttackCase } from '../attack-case.ts';
import { type RawConnection, openConnection, requestHead } from '../raw-connection.ts';
import { seedConversation, seedEntries } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

const CONNECTIONS = 60;
const ENTRIES = 1000;
const ENTRY_BYTES = 4000;
/** What one user may hold, with all that the runtime adds. Without a limit it is above 600 MB. */
const MAX_GROWTH_MB = 250;
/** Requests sent ahead on each connection: the kernels of both sides take the first answer, and the next ones wait. */
const AHEAD = 4;
/** Longer than a write without progress may take. */
const HOLD_MS = 25_000;

export const unreadAnswers: AttackCase = {
  name: 'unread-answers',
  does: 'A member asks four times for a page of 1000 entries over each of 60 connections and reads nothing.',
  work: 'Keeping 60 pages of 5 MB until somebody reads them.',
  hasShortForm: false,
  run: async (target) => {
    const tally = new Tally();
    const id = await seedConversation(target.pool, ['hoarder']);
    await seedEntries(target.pool, id, ENTRIES, ENTRY_BYTES);
    const head = requestHead('GET', `/v1/conversations/${id}/messages?limit=1000`, await target.token('hoarder'));
    const before = target.process?.residentMb() ?? 0;
    let highest = before;
    const watch = setInterval(() => (highest = Math.max(highest, target.process?.residentMb() ?? 0)), 100);
    const connections: RawConnection[] = await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        const connection = await openConnection(target.url);
        connection.socket.pause();
        connection.socket.write(head.repeat(AHEAD));
        return connection;
      }),
    );
    await pause(HOLD_MS);
    const held = (target.process?.residentMb() ?? 0) - before;
    clearInterval(watch);
    // Whoever was cut sees it only when it reads.
    for (const { socket } of connections) socket.resume();
    await pause(500);
    tally.note('connections cut by the service', connections.filter((one) => one.isClosed()).length);
    for (const connection of connections) connection.close();
    tally.note('MB of growth', Math.round(highest - before));
    tally.note('MB still held at the end', Math.round(held));
    return {
      achieved: tally.counts,
      failures: failuresOf({
        [`The process grew by ${Math.round(highest - before)} MB.`]: highest - before > MAX_GROWTH_MB,
        'No connection without progress was cut.': connections.every((one) => !one.isClosed()),
      }),
    };
  },
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
