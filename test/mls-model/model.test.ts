import { expect, test } from 'vitest';
import { startFleetOnDatabase, useReleasers } from '../faults/fleet.ts';
import { checkInvariants } from '../support/invariants.ts';
import { modelOptions } from './options.ts';
import type { Player } from './player.ts';
import { World } from './world.ts';

/** Of one seed; a long run has many steps. */
const TIMEOUT_MS = 3_600_000;
const { seeds, devices, steps } = modelOptions();
const later = useReleasers();

test.each(seeds)(
  'real MLS devices that come, go, race, crash and lose their state end in one group with one history (seed %i)',
  async (seed) => {
    // Every other run takes the direct path.
    const env = { CONVERSATION_PATH: seed % 2 === 0 ? 'workflow' : 'direct' };
    const { fleet, database } = await startFleetOnDatabase(later, { apis: 2, workers: 2, env });
    const world = new World({ pool: database.pool, fleet, seed, devices });
    later('devices', () => Promise.all(world.players.map((player) => player.disconnect())).then(() => undefined));
    try {
      await world.begin();
      await world.play(steps);
      const group = await world.settle();
      await check(world, group);
      await checkInvariants(database.pool, world.conversation);
    } catch (error) {
      process.stderr.write(`seed ${seed}:\n${world.events.join('\n')}\n`);
      throw error;
    }
  },
  TIMEOUT_MS,
);

async function check(world: World, players: readonly Player[]): Promise<void> {
  expect(players.length).toBeGreaterThan(0);
  const log = await world.log();
  const epochs = new Map(log.map(({ seq, epoch }) => [seq, epoch]));
  /** What each entry says, by all who read it. */
  const texts = new Map<number, string>();
  for (const player of world.players) {
    const { history = [] } = player.group(world.conversation) ?? {};
    const seqs = history.map(({ seq }) => seq);
    // In the order of the log, nothing twice, nothing that is not in it (invariant 5).
    expect(seqs, player.name).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    for (const { seq, text, epoch } of history) {
      expect(epoch, `${player.name} ${seq}`).toBe(epochs.get(seq));
      expect(texts.get(seq) ?? text, `${player.name} ${seq}`).toBe(text);
      texts.set(seq, text);
    }
  }
  const [first] = players;
  for (const player of players) {
    const group = player.device.group(world.conversation);
    expect(group.members.toSorted(), player.name).toEqual(first?.device.group(world.conversation).members.toSorted());
    expect([...new Set(group.members)].sort(), player.name).toEqual(await world.members());
    // Nothing is missing of what was sent since it came in, but what belongs to an epoch before that.
    const read = new Set(group.history.map(({ seq }) => seq));
    const missing = log.filter(
      ({ seq, epoch }) => seq > (player.stay?.seq ?? 0) && epoch >= (player.stay?.epoch ?? 0) && !read.has(seq),
    );
    expect(missing, player.name).toEqual([]);
  }
}
