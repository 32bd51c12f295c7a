import { randomBytes } from 'node:crypto';
import { describe, sleep } from '../load/closed-loop.ts';
import { makeLatencyRecorder } from '../load/histogram.ts';
import { type Answer, describeAnswer, expectStatus } from '../load/http-sender.ts';
import type { CaseContext } from './case.ts';
import { type Measurement, makeCpuMeter, toMeasurement } from './measurement.ts';
import { CONVERSATIONS, type Messenger, SENDERS } from './world.ts';

/** Members that commit to one epoch at the same time. */
const RACERS = 4;
/** Conversations that race at the same time. */
const LANES = 16;
const COMMIT_BYTES = 512;
const PAUSE_MS = 50;

interface Race {
  readonly conversation: string;
  epoch: number;
  /** The users take turns, so that nobody loses often enough to get Parley's reservation. */
  turn: number;
}

/**
 * In each round four members commit to the same epoch of a conversation. One must be accepted, and the others must be told of
 * the conflict; anything else is an error. The next round is about the next epoch. 16 conversations race at a time.
 */
export async function measureRacedCommits({
  contender,
  messenger,
  warmUpMs,
  measureMs,
}: CaseContext): Promise<Measurement[]> {
  const races = await Promise.all(CONVERSATIONS.raced.map((conversation) => begin(messenger, conversation)));
  const recorder = makeLatencyRecorder();
  const failures: string[] = [];
  const state = { measuring: false, stopped: false, epochs: 0 };
  const commit = makeCommitter(messenger, (ms) => {
    if (state.measuring) recorder.record(ms);
  });
  const lane = async (mine: readonly Race[]): Promise<void> => {
    for (let round = 0; !state.stopped; round++) {
      const race = mine[round % mine.length];
      if (race === undefined) return;
      try {
        await runRound(race, commit);
        if (state.measuring) state.epochs++;
      } catch (error) {
        failures.push(describe(error));
        await sleep(PAUSE_MS);
        Object.assign(race, await begin(messenger, race.conversation).catch(() => race));
      }
    }
  };
  const meter = makeCpuMeter(contender.pids);
  const lanes = Array.from({ length: LANES }, (_, i) => lane(races.filter((__, n) => n % LANES === i)));
  await sleep(warmUpMs);
  meter.onStart();
  state.measuring = true;
  const startedAt = performance.now();
  await sleep(measureMs);
  state.measuring = false;
  const seconds = (performance.now() - startedAt) / 1000;
  meter.onEnd();
  state.stopped = true;
  await Promise.all(lanes);
  const result = { seconds, latency: recorder.summary(), failures };
  const measured = toMeasurement('raced-commits', contender.name, result, meter.used());
  return [{ ...measured, values: { ...measured.values, epochsPerSecond: state.epochs / seconds } }];
}

/** @throws Error unless one commit was accepted and all others were told of the conflict */
async function runRound(race: Race, commit: (race: Race, racer: number) => Promise<Answer>): Promise<void> {
  const answers = await Promise.all(Array.from({ length: RACERS }, (_, racer) => commit(race, race.turn + racer)));
  race.turn += RACERS;
  const winners = answers.filter(({ status }) => status === 200);
  const wrong = answers.find(
    ({ status, body }) => status !== 200 && !(status === 409 && body.includes('epoch-conflict')),
  );
  if (wrong !== undefined) throw new Error(describeAnswer(wrong));
  if (winners.length !== 1) throw new Error(`${winners.length} commits were accepted for one epoch`);
  race.epoch++;
}

async function begin({ http, tokens }: Messenger, conversation: string): Promise<Race> {
  const answer = expectStatus(await http.get(`/v1/conversations/${conversation}/epoch`, tokens[0] ?? ''));
  return { conversation, epoch: (JSON.parse(answer) as { epoch: number }).epoch, turn: 0 };
}

/** Sends commits with new ids and equal bytes. @param record gets the time of each answer in ms */
function makeCommitter(
  { http, tokens }: Messenger,
  record: (ms: number) => void,
): (race: Race, racer: number) => Promise<Answer> {
  const prefix = randomBytes(6).toString('hex');
  const bytes = randomBytes(COMMIT_BYTES).toString('base64');
  let count = 0;
  return async ({ conversation, epoch }, racer) => {
    const body = `{"id":"${prefix}-c${count++}","commit":"${bytes}","epoch":${epoch}}`;
    const from = performance.now();
    const token = tokens[racer % SENDERS] ?? '';
    const answer = await http.post(`/v1/conversations/${conversation}/commits`, token, body);
    record(performance.now() - from);
    return answer;
  };
}
