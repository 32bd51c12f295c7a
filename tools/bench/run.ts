import { type Servers, startServers } from '../harness/servers.ts';
import { CASES } from './cases.ts';
import { type Contender, type ContenderName, startContender } from './contender.ts';
import { type RestateServer, startRestateServer } from './contenders/restate/server.ts';
import { KILLED, measureKill } from './kill.ts';
import { checkLogs } from './logs.ts';
import type { Measurement } from './measurement.ts';
import { measureMemory } from './memory.ts';
import { type BenchOptions, KILL_CASE, MEMORY_CASE, STREAMS_CASE } from './options.ts';
import { runCase } from './run-case.ts';
import { measureStreams } from './streams.ts';
import { type Messenger, makeMessenger, seedWorld } from './world.ts';

const TEMPLATE = 'bench_seed';

interface Stage {
  readonly servers: Servers;
  readonly restate: RestateServer | undefined;
  /** Makes a database with the seed. @returns its URL */
  readonly database: (name: ContenderName, suffix?: string) => Promise<string>;
  readonly say: (line: string) => void;
}

/** Runs all cases on all contenders. @returns every single measurement */
export async function runBench(options: BenchOptions, say: (line: string) => void): Promise<Measurement[]> {
  const servers = await startServers({ say });
  let restate: RestateServer | undefined;
  try {
    if (options.contenders.includes('restate')) restate = await startRestateServer(say);
    say('Filling the database');
    const needs = (...cases: readonly string[]): boolean => cases.some((name) => options.cases.includes(name));
    await seedWorld(servers, TEMPLATE, {
      followers: needs(STREAMS_CASE),
      large: needs('sizes', 'stored'),
      cached: needs(MEMORY_CASE),
      wide: needs('open-1000'),
      raced: needs('raced-commits'),
    });
    const database = (name: ContenderName, suffix = ''): Promise<string> =>
      servers.createDatabase(`bench_${name.replace('-', '_')}${suffix}`, TEMPLATE);
    const stage: Stage = { servers, restate, database, say };
    // These come first, while no other process disturbs them.
    return [...(await runAlone(options, stage)), ...(await runTogether(options, stage))];
  } finally {
    await restate?.stop();
    await servers.stop();
  }
}

/** The cases that start processes of their own. */
async function runAlone(options: BenchOptions, { servers, database, say }: Stage): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
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
  if (options.cases.includes(KILL_CASE)) {
    for (const name of options.contenders.filter((each) => KILLED.includes(each))) {
      say(`${KILL_CASE}: ${name}`);
      const databaseUrl = await database(name, '_kill');
      measurements.push(...(await measureKill({ name, servers, databaseUrl, measureMs: options.measureMs })));
    }
  }
  return measurements;
}

/** The cases that all contenders run in turn. At the end the logs of all are checked. */
async function runTogether(options: BenchOptions, stage: Stage): Promise<Measurement[]> {
  const cases = CASES.filter(({ name }) => options.cases.includes(name));
  if (cases.length === 0) return [];
  const { servers, restate, database, say } = stage;
  const waiting: Promise<Contender>[] = [];
  const running: { contender: Contender; messenger: Messenger }[] = [];
  try {
    say('Starting the contenders');
    for (const name of options.contenders) {
      const databaseUrl = await database(name);
      waiting.push(startContender({ name, servers, restate, databaseUrl, profileDir: options.profileDir }));
    }
    const contenders = await Promise.all(waiting);
    for (const contender of contenders) running.push({ contender, messenger: await makeMessenger(contender) });
    const measurements: Measurement[] = [];
    for (const one of cases) measurements.push(...(await runCase(one, running, options, say)));
    say('Checking the logs');
    for (const contender of contenders) {
      const errors = await checkLogs(contender);
      measurements.push({ load: 'logs', contender: contender.name, values: {}, errors });
    }
    return measurements;
  } finally {
    await Promise.all(running.map(({ messenger }) => messenger.http.close()));
    // When one contender fails to start, the others that did start must be stopped too.
    const started = await Promise.allSettled(waiting);
    await Promise.all(started.map(async (one) => (one.status === 'fulfilled' ? one.value.stop() : undefined)));
  }
}

/** The contenders whose worker memory is measured. */
function withWorker({ quick }: BenchOptions): readonly ContenderName[] {
  return quick ? ['workflow'] : ['workflow', 'naive'];
}
