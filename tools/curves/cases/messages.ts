import { messagesPath } from '../../load/messages.ts';
import { seedEntries } from '../../load/seed.ts';
import type { Curve } from '../curve.ts';
import type { Entrance } from '../entrance.ts';
import { type Job, measureInTurns } from '../in-turns.ts';
import { manyId, seedMany } from '../../load/seed-many.ts';
import type { World } from '../world.ts';

const SIZES = [1, 1000, 10_000, 100_000, 1_000_000];
const QUICK_SIZES = [1, 1000, 100_000];
/** Short logs grow while they are measured: so there are many of them. */
const COPIES = { of: 1000, count: 100 };
/** On the workflow path fewer are enough, and their workflows must run before they are measured. */
const WORKFLOWS = 8;
const PAGE = 50;

/** Cost against the messages that a conversation holds already. */
export async function measureMessages(world: World): Promise<Curve> {
  const { url, pool } = await world.database('curve_messages');
  const sizes = world.quick ? QUICK_SIZES : SIZES;
  for (const size of sizes)
    await seedMany(pool, { name: `messages ${size}`, conversations: copiesOf(size), members: 2 });
  for (const size of sizes) {
    for (let copy = 0; copy < copiesOf(size); copy++) await seedEntries(pool, manyId(`messages ${size}`, copy), size);
    world.say(`messages: ${copiesOf(size)} x ${size} entries`);
  }
  await pool.query('vacuum analyze');
  const { entrances } = await world.service(url, { paths: ['direct', 'workflow'], workers: 1 });
  const [direct, workflow] = entrances;
  if (direct === undefined || workflow === undefined) throw new Error('Both paths are measured');
  const jobs = sizes.flatMap((x): Job[] => {
    let turn = 0;
    // Users of the copies: two each.
    const next = (most = COPIES.count): { id: string; user: number } => {
      const copy = turn++ % Math.min(most, copiesOf(x));
      return { id: manyId(`messages ${x}`, copy), user: 2 * copy };
    };
    const send = (entrance: Entrance, most?: number) => () => {
      const { id, user } = next(most);
      return entrance.send(id, user);
    };
    const page = (after: number) => async () => {
      const { id, user } = next();
      await direct.get(`${messagesPath(id)}?after=${after}&limit=${PAGE}`, user);
    };
    const view = async (): Promise<void> => {
      const { id, user } = next();
      await direct.get(`/v1/conversations/${id}`, user + 1);
    };
    return [
      { line: 'send, direct', x, pids: direct.pids, run: send(direct) },
      { line: 'send, workflow', x, pids: workflow.pids, run: send(workflow, WORKFLOWS) },
      { line: 'unread count', x, pids: direct.pids, run: view },
      // A page of a log of one message has one message.
      ...(x < PAGE
        ? []
        : [
            { line: 'last page of 50', x, pids: direct.pids, run: page(x - PAGE) },
            { line: 'page in the middle', x, pids: direct.pids, run: page(Math.floor(x / 2)) },
          ]),
    ];
  });
  return {
    name: 'messages',
    title: 'Messages in a conversation',
    xLabel: 'messages stored before',
    ...(await measureInTurns(jobs, world.turns)),
    notes: [
      `512-byte messages, seeded by SQL. Logs of up to ${COPIES.of} entries are there ${COPIES.count} times, because they grow while they are measured.`,
    ],
    explained: new Map(),
  };
}

function copiesOf(size: number): number {
  return size <= COPIES.of ? COPIES.count : 1;
}
