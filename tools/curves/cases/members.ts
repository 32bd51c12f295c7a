import { userName } from '../../load/tokens.ts';
import type { Curve } from '../curve.ts';
import { type Job, measureInTurns } from '../in-turns.ts';
import { manyId, seedMany } from '../../load/seed-many.ts';
import type { World } from '../world.ts';

const SIZES = [2, 10, 100, 1000, 10_000];
const QUICK_SIZES = [2, 100, 10_000];
/** The user who comes and goes. */
const GUEST = 1_000_000;
const PAGE = 50;

/** Cost against the members of a conversation. */
export async function measureMembers(world: World): Promise<Curve> {
  const { url, pool } = await world.database('curve_members');
  const sizes = world.quick ? QUICK_SIZES : SIZES;
  for (const size of sizes) {
    // One for messages, one for commits, which end the epoch of messages, and one with room for a guest.
    for (const use of ['messages', 'commits', 'guests']) {
      const members = use === 'guests' ? size - 1 : size;
      await seedMany(pool, { name: `members ${size} ${use}`, conversations: 1, members });
    }
  }
  await pool.query('vacuum analyze');
  const { entrances } = await world.service(url, { paths: ['direct', 'workflow'], workers: 1 });
  const [direct, workflow] = entrances;
  if (direct === undefined || workflow === undefined) throw new Error('Both paths are measured');
  const jobs = sizes.flatMap((x): Job[] => {
    const id = (use: string): string => manyId(`members ${x} ${use}`, 0);
    const path = (use: string): string => `/v1/conversations/${id(use)}`;
    const comeAndGo = async (): Promise<void> => {
      await direct.post(`${path('guests')}/members`, 0, { users: [userName(GUEST)] });
      await direct.post(`${path('guests')}/members/${userName(GUEST)}/remove`, 0, {});
    };
    const common = { x, pids: direct.pids };
    return [
      { ...common, line: 'send, direct', run: () => direct.send(id('messages'), 0) },
      { line: 'send, workflow', x, pids: workflow.pids, run: () => workflow.send(id('messages'), 0) },
      { ...common, line: 'commit, direct', run: () => direct.commit(id('commits'), 0) },
      { ...common, line: 'add one, remove one (each), direct', units: 2, run: comeAndGo },
      {
        ...common,
        line: 'first page of 50 members',
        run: () => direct.get(`${path('messages')}/members?limit=${PAGE}`, 0),
      },
    ];
  });
  return {
    name: 'members',
    title: 'Members of a conversation',
    xLabel: 'members',
    ...(await measureInTurns(jobs, world.turns)),
    notes: ['Opaque conversations: what MLS itself costs with the size of a group is the work of the clients.'],
    explained: new Map([
      ['first page of 50 members', 'A page has up to 50 members, so it grows up to there: 2, 10, 50, 50, 50.'],
    ]),
  };
}
