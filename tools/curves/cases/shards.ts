import path from 'node:path';
import { startPostgres } from '../../../local/postgres.ts';
import { signalProcess } from '../../../local/process-table.ts';
import { atExit } from '../../harness/at-exit.ts';
import { temporaryFolder } from '../../harness/temporary-folder.ts';
import { below, makeRandom } from '../../load/random.ts';
import { type Circles, manyId, membersOf, seedMany } from '../../load/seed-many.ts';
import type { Curve } from '../curve.ts';
import { type Job, measureInTurns } from '../in-turns.ts';
import { buildTemporal, startTemporalOnPostgres } from '../temporal-on-postgres.ts';
import type { World } from '../world.ts';

const SHARDS = [1, 4, 64, 512];
const QUICK_SHARDS = [1, 64];
const CIRCLES: Circles = { name: 'shards', conversations: 200, each: 8, members: 8 };
const SENDERS = 32;

/**
 * Cost of the workflow path against the history shards of a Temporal server on Postgres, beside the development server with its
 * SQLite. Needs Go.
 */
export async function measureShards(world: World): Promise<Curve> {
  const { say } = world;
  const programs = await buildTemporal(say);
  const folder = temporaryFolder('shards');
  world.later('folder', folder.remove);
  // A server of its own: histories and logs must not wait for each other's disk.
  const histories = await startPostgres({ dataDir: path.join(folder.path, 'postgres'), say });
  const forget = atExit(() => void signalProcess(histories.pid, 'SIGKILL'));
  world.later('Postgres of Temporal', () => histories.stop().finally(forget));
  const jobs: Job[] = [];
  const add = async (
    x: number,
    server: { readonly address: string; readonly pids: Record<string, number> },
    line: string,
  ): Promise<void> => {
    const { url, pool } = await world.database(`curve_shards_${jobs.length}`);
    await seedMany(pool, CIRCLES);
    const { entrances } = await world.service(url, { paths: ['workflow'], workers: 1, temporal: server });
    const [workflow] = entrances;
    if (workflow === undefined) throw new Error('The workflow path is measured');
    const random = makeRandom(x);
    for (const senders of [1, SENDERS]) {
      jobs.push({
        line: `send, ${senders === 1 ? 'one sender' : `${senders} senders`}, ${line}`,
        x,
        pids: workflow.pids,
        senders,
        run: () => {
          const n = below(random, CIRCLES.conversations);
          return workflow.send(manyId(CIRCLES.name, n), membersOf(CIRCLES, n)[below(random, CIRCLES.members)] ?? 0);
        },
      });
    }
    say(`shards: ${line}, ${x}`);
  };
  for (const shards of world.quick ? QUICK_SHARDS : SHARDS) {
    const server = await startTemporalOnPostgres({
      programs,
      shards,
      postgresUrl: histories.url('postgres'),
      folder: folder.path,
    });
    world.later('Temporal', server.stop);
    const pids = { temporal: server.pid, 'its postgres': histories.pid };
    await add(shards, { address: server.address, pids }, 'Temporal on Postgres');
  }
  // The development server always has one shard.
  const { temporalAddress, pids } = world.servers;
  await add(1, { address: temporalAddress, pids: { temporal: pids.temporal ?? 0 } }, 'development server');
  return {
    name: 'shards',
    title: 'History shards of Temporal',
    xLabel: 'history shards',
    ...(await measureInTurns(jobs, world.turns)),
    notes: [
      `One worker and one API process for each server, all on the same two cores; ${SENDERS} senders over ${CIRCLES.conversations} conversations. The servers that have no turn are idle, but their shards still poll, and those on Postgres share one: that is counted.`,
    ],
    explained: new Map(),
  };
}
