import path from 'node:path';
import { startArena } from '../../chaos/arena/arena.ts';
import { startLoad } from '../../chaos/load/load.ts';
import { startAudience } from '../../chaos/streams/audience.ts';
import { spend, waitUntil } from '../../harness/wait-until.ts';
import { below, makeRandom } from '../../load/random.ts';
import { type Prometheus, startPrometheus } from '../prometheus.ts';
import { alertGroups, recordingGroups, renderGroups } from '../rules/render.ts';
import { makeTimes } from '../rules/times.ts';
import { watchArena } from '../watch-arena.ts';
import type { Drill, DrillStage } from './drill.ts';

/** A minute of the rules takes a second. */
const SCALE = 60;
const EVERY_SECONDS = 1;
/** Load without a fault, before the first drill. */
const CALM_MS = 20_000;
const MOST_TRIES = 4;
/** Longer than any alert needs, on busy cores. */
const PATIENCE_MS = 120_000;
/** Whether objectives are met without a fault is a matter of the machine: two busy cores miss them. */
const IS_OBJECTIVE = /Budget(?:Fast|Slow)$/;
const LOAD = { conversations: 20, users: 4, perSecond: 20, streams: 4, deadlineMs: 10_000 };

export interface DrillResult {
  readonly drill: string;
  /** Seconds from the fault to each of its alerts; `undefined` = it did not fire. */
  readonly fired: ReadonlyMap<string, number | undefined>;
  /** Its alerts that still fired long after the fault was gone. */
  readonly stayed: readonly string[];
  /** Others that fired as well. */
  readonly also: readonly string[];
}

export interface DrillsReport {
  /** Alerts that fired without a fault. */
  readonly falseAlarms: readonly string[];
  readonly results: readonly DrillResult[];
  /** Drills that this machine cannot do, with the reason. */
  readonly leftOut: readonly string[];
  /** Every metric that Prometheus saw. */
  readonly metrics: ReadonlySet<string>;
}

/** Starts a service and a Prometheus with the shortened rules, and has one fault after another. */
export async function runDrills(options: {
  readonly drills: readonly Drill[];
  /** Path of Prometheus. */
  readonly binary: string;
  readonly seed: number;
  readonly say: (line: string) => void;
}): Promise<DrillsReport> {
  const { drills, binary, seed, say } = options;
  const random = makeRandom(seed);
  const t = makeTimes(SCALE);
  const arena = await startArena({ path: 'auto', withSmallDisk: false, withMetrics: true });
  const ends: (() => Promise<void> | void)[] = [() => arena.close()];
  try {
    const prometheus = await startPrometheus({
      binary,
      folder: path.join(arena.folder, 'prometheus'),
      rules: { 'alerts.yml': renderGroups(alertGroups(t), t), 'rules.yml': renderGroups(recordingGroups(t), t) },
      everySeconds: EVERY_SECONDS,
    });
    ends.push(prometheus.stop, watchArena(prometheus, arena));
    const load = await startLoad({ ...LOAD, seed, urls: arena.balancer.urls });
    const conversations = [...load.ledger.books.keys()];
    const audience = startAudience(load.people, { conversations, users: load.users, streams: LOAD.streams });
    ends.push(() => audience.stop());
    await load.probe();
    const stage: DrillStage = {
      ...{ arena, conversations, people: load.people, say },
      below: (limit) => below(random, limit),
    };
    const falseAlarms = await alarmsWithoutFault(prometheus);
    say(`without a fault: ${falseAlarms.join(', ') || 'nothing fires'}`);
    const results: DrillResult[] = [];
    const leftOut: string[] = [];
    for (const drill of drills) {
      const reason = drill.missing?.(stage);
      if (reason === undefined) results.push(await runDrill(drill, stage, prometheus));
      else leftOut.push(`${drill.name}: ${reason}`);
    }
    const metrics = await prometheus.names();
    ends.push(() => load.stop());
    return { falseAlarms, results, leftOut, metrics };
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** Nothing may fire under load without a fault. The first requests to cold processes are slow, and windows have to forget them. */
async function alarmsWithoutFault(prometheus: Prometheus): Promise<readonly string[]> {
  await spend(CALM_MS);
  let firing: string[] = [];
  const isQuiet = async (): Promise<boolean> => {
    firing = [...(await prometheus.firing())].filter((alert) => !IS_OBJECTIVE.test(alert));
    return firing.length === 0;
  };
  await attempt(waitUntil(isQuiet, { what: 'nothing fires', timeoutMs: PATIENCE_MS, everyMs: 1000 }));
  return firing;
}

async function runDrill(drill: Drill, stage: DrillStage, prometheus: Prometheus): Promise<DrillResult> {
  const { name, alerts, inject } = drill;
  stage.say(`${name}: ${drill.does}`);
  const fired = new Map<string, number>();
  const also = new Set<string>();
  const startedAt = performance.now();
  let heal: () => Promise<void> | void = () => undefined;
  await persist(async () => void (heal = await inject(stage)));
  const look = async (): Promise<boolean> => {
    for (const alert of await prometheus.firing()) {
      if (!alerts.includes(alert)) also.add(alert);
      else if (!fired.has(alert)) fired.set(alert, (performance.now() - startedAt) / 1000);
    }
    return alerts.every((alert) => fired.has(alert));
  };
  await attempt(waitUntil(look, { what: `${name} makes its alerts fire`, timeoutMs: PATIENCE_MS, everyMs: 250 }));
  await persist(async () => heal());
  await persist(() => stage.arena.untilReady());
  let stayed: string[] = [];
  const isSilent = async (): Promise<boolean> => {
    const firing = await prometheus.firing();
    stayed = alerts.filter((alert) => firing.has(alert) && !IS_OBJECTIVE.test(alert));
    return stayed.length === 0;
  };
  await attempt(waitUntil(isSilent, { what: `${name} is over`, timeoutMs: PATIENCE_MS, everyMs: 500 }));
  const result = {
    drill: name,
    fired: new Map(alerts.map((alert) => [alert, fired.get(alert)])),
    stayed,
    also: [...also],
  };
  stage.say(`  ${describe(result)}`);
  return result;
}

/** On busy cores a process may take too long to start. */
async function persist(act: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await act();
      return;
    } catch (error) {
      if (tries === MOST_TRIES) throw error;
    }
  }
}

/** What does not come in time is in the result. */
async function attempt(waiting: Promise<void>): Promise<void> {
  await waiting.catch(() => undefined);
}

export function describe({ fired, stayed, also }: DrillResult): string {
  const times = [...fired].map(([alert, after]) =>
    after === undefined ? `${alert} DID NOT FIRE` : `${alert} after ${after.toFixed(1)} s`,
  );
  const ends = stayed.length === 0 ? '' : `; STILL FIRING: ${stayed.join(', ')}`;
  return `${times.join(', ')}${ends}${also.length === 0 ? '' : ` (also: ${also.join(', ')})`}`;
}
