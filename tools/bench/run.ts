import { startServers } from '../harness/servers.ts';
import type { BenchCase } from './case.ts';
import { CASES } from './cases.ts';
import { type Contender, type ContenderName, startContender } from './contender.ts';
import type { Measurement } from './measurement.ts';
import { measureMemory } from './memory.ts';
import { type BenchOptions, MEMORY_CASE, STREAMS_CASE } from './options.ts';
import { measureStreams } from './streams.ts';
import { type Messenger, makeMessenger, seedWorld } from './world.ts';

const TEMPLATE = 'bench_seed';

/** Runs all cases on all contenders. @returns every single measurement */
export async function runBench(options: BenchOptions, say: (line: string) => void): Promise<Measurement[]> {
  const servers = await startServers({ say });
  const waiting: Promise<Contender>[] = [];
  const running: { contender: Contender; messenger: Messenger }[] = [];
  try {
    say('Filling the database');
    await seedWorld(servers, TEMPLATE);
    const database = async (name: ContenderName, suffix = ''): Promise<string> =>
      servers.createDatabase(`bench_${name.replace('-', '_')}${suffix}`, TEMPLATE);
    const measurements: Measurement[] = [];
    // Memory comes first, while no other process disturbs the workers.
    if (options.cases.includes(MEMORY_CASE)) {
      for (const name of options.contenders.filter((each) => withWorker(options).includes(each))) {
        say(`memory: ${name}`);
        const databaseUrl = await database(name, '_memory');
        measurements.push(...(await measureMemory({ name, servers, databaseUrl, count: options.cached })));
      }
    }
    if (options.cases.includes(STREAMS_CASE)) {
      for (const kind of ['conversation', 'account'] as const) {
        say(`${STREAMS_CASE}: ${kind} streams`);
        const databaseUrl = await database('direct', `_streams_${kind}`);
        measurements.push(...(await measureStreams({ kind, servers, databaseUrl, count: options.streams, say })));
      }
    }
    const cases = CASES.filter(({ name }) => options.cases.includes(name));
    if (cases.length === 0) return measurements;
    say('Starting the contenders');
    for (const name of options.contenders) {
      const databaseUrl = await database(name);
      waiting.push(startContender({ name, servers, databaseUrl, profileDir: options.profileDir }));
    }
    const contenders = await Promise.all(waiting);
    for (const contender of contenders) running.push({ contender, messenger: await makeMessenger(contender) });
    for (const one of cases) measurements.push(...(await runCase(one, running, options, say)));
    return measurements;
  } finally {
    await Promise.all(running.map(({ messenger }) => messenger.http.close()));
    // When one contender fails to start, the others that did start must be stopped too.
    const started = await Promise.allSettled(waiting);
    await Promise.all(started.map(async (one) => (one.status === 'fulfilled' ? one.value.stop() : undefined)));
    await servers.stop();
  }
}

/** The contenders whose worker memory is measured. */
function withWorker({ quick }: BenchOptions): readonly ContenderName[] {
  return quick ? ['workflow'] : ['workflow', 'naive'];
}

/** Runs the contenders in turn: A B C D, A B C D, .. A disturbance of the machine then affects all of them. */
async function runCase(
  one: BenchCase,
  running: readonly { contender: Contender; messenger: Messenger }[],
  { repeats, warmUpMs, measureMs }: BenchOptions,
  say: (line: string) => void,
): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (let repeat = 1; repeat <= repeats; repeat++) {
    say(`${one.name}: ${one.about}${repeats === 1 ? '' : ` (${repeat} of ${repeats})`}`);
    for (const { contender, messenger } of running) {
      if (one.only?.includes(contender.name) === false) continue;
      measurements.push(...(await one.run({ contender, messenger, warmUpMs, measureMs })));
    }
  }
  return measurements;
}
