import { openEventReader } from '../../load/event-reader.ts';
import { waitUntil } from '../../harness/wait-until.ts';
import type { Curve } from '../curve.ts';
import type { Entrance } from '../entrance.ts';
import { type Job, measureInTurns } from '../in-turns.ts';
import { manyId, seedMany } from '../../load/seed-many.ts';
import type { World } from '../world.ts';

const SIZES = [10, 100, 500, 2000];
const QUICK_SIZES = [10, 100, 1000];
const PAGE = 100;
/** A page that the smallest inbox fills. */
const FIRST_PAGE = 10;
const OPEN_MS = 60_000;

/** Cost for each conversation of a device against how many it has. */
export async function measureInbox(world: World): Promise<Curve> {
  const { url, pool } = await world.database('curve_inbox');
  const sizes = world.quick ? QUICK_SIZES : SIZES;
  for (const size of sizes) {
    // Two members: the owner of the inbox has number `size`, all others are different.
    await seedMany(pool, { name: `inbox ${size}`, conversations: size, each: size, members: 2, from: 10 * size });
  }
  await pool.query('vacuum analyze');
  const { entrances } = await world.service(url, { paths: ['direct'], workers: 0 });
  const [direct] = entrances;
  if (direct === undefined) throw new Error('One API process is measured');
  const jobs = sizes.flatMap((x): Job[] => {
    const user = 10 * x;
    const common = { x, pids: direct.pids };
    const positions = Object.fromEntries(Array.from({ length: x }, (_, n) => [manyId(`inbox ${x}`, n), 0]));
    return [
      { ...common, line: 'list all, for each', units: x, run: () => listAll(direct, user) },
      {
        ...common,
        line: 'first page of 10',
        run: () => direct.get(`/v1/conversations?limit=${FIRST_PAGE}`, user),
      },
      { ...common, line: 'open the stream, for each', units: x, run: () => openStream(direct, user, x) },
      {
        ...common,
        line: 'acknowledge all, for each',
        units: x,
        run: () => direct.post('/v1/ack', user, { positions }),
      },
    ];
  });
  return {
    name: 'inbox',
    title: 'Conversations of a device',
    xLabel: 'conversations of the device',
    ...(await measureInTurns(jobs, world.turns)),
    notes: [
      `Cost for each conversation, so that a flat line means: twice the conversations cost twice as much. The list comes in pages of ${PAGE}. The stream is that of a new device, which knows none of them.`,
    ],
    explained: new Map(),
  };
}

async function listAll(direct: Entrance, user: number): Promise<void> {
  let cursor: string | undefined;
  do {
    const body = await direct.get(
      `/v1/conversations?limit=${PAGE}${cursor === undefined ? '' : `&cursor=${cursor}`}`,
      user,
    );
    cursor = (JSON.parse(body) as { next?: string }).next;
  } while (cursor !== undefined);
}

/** Opens the account stream and waits until it has told of each conversation. */
async function openStream(direct: Entrance, user: number, conversations: number): Promise<void> {
  let told = 0;
  const reader = await openEventReader(`${direct.url}/v1/events`, await direct.token(user), (text) => {
    if (text.startsWith('event: conversation')) told++;
  });
  try {
    await waitUntil(() => told >= conversations, { timeoutMs: OPEN_MS, everyMs: 2, what: 'the stream told of all' });
  } finally {
    reader.close();
  }
}
