import { parentPort, workerData } from 'node:worker_threads';
import { randomBytes } from 'node:crypto';
import { describe } from '../load/closed-loop.ts';
import type { Latency } from '../load/histogram.ts';
import { makeLatencyRecorder } from '../load/histogram.ts';
import { expectStatus, makeHttpSender } from '../load/http-sender.ts';

/** What the thread of the bystanders is told. */
export interface BystanderInput {
  readonly url: string;
  /** `Authorization` of a user who only reads, and of one who writes. */
  readonly reader: string;
  readonly writer: string;
  readonly conversation: string;
}

/** What the thread is told to do. */
export type BystanderOrder = 'start' | 'warm-up' | 'stop';

/** What the bystanders saw, from the start to the end of an attack. */
export interface BystanderResult {
  readonly get: Latency;
  readonly send: Latency;
  /** Different errors, with how often each came. */
  readonly errors: Readonly<Record<string, number>>;
}

// This file is a thread of its own: what the attacker computes must not look like waiting.

/** An idle client asks seldom. So many requests a second only serve to see a short stop. */
const GET_EVERY_MS = 10;
const SEND_EVERY_MS = 50;
/** Before the first measurement everything comes this many times as often, so that no request of an attack is the first of its kind. */
const WARM_UP_FACTOR = 5;

if (parentPort === null) throw new Error('This file runs as a thread');
const port = parentPort;
const { url, reader, writer, conversation } = workerData as BystanderInput;
const path = `/v1/conversations/${conversation}`;
const http = makeHttpSender(url, 128);

interface Round {
  readonly stop: () => Promise<BystanderResult>;
}
let round: Round | undefined;

port.on('message', (what: BystanderOrder) => {
  if (what !== 'stop') {
    round = begin(what === 'warm-up' ? WARM_UP_FACTOR : 1);
    return;
  }
  void round?.stop().then((result) => port.postMessage(result));
});
port.postMessage('ready');

/** Sends at fixed times, `factor` times as often as usual, whether or not earlier requests were answered; a latency counts from the time of its turn. */
function begin(factor: number): Round {
  const get = makeLatencyRecorder();
  const send = makeLatencyRecorder();
  const errors = new Map<string, number>();
  const running = new Set<Promise<void>>();
  const startedAt = performance.now();
  const every = (ms: number, recorder: typeof get, ask: () => Promise<unknown>): NodeJS.Timeout => {
    let turn = 0;
    return setInterval(() => {
      for (; startedAt + turn * ms <= performance.now(); turn++) {
        const due = startedAt + turn * ms;
        const one = ask()
          .then(() => recorder.record(performance.now() - due))
          .catch((error: unknown) => {
            recorder.record(performance.now() - due);
            const text = describe(error).slice(0, 120);
            errors.set(text, (errors.get(text) ?? 0) + 1);
          });
        running.add(one);
        void one.finally(() => running.delete(one));
      }
    }, 1);
  };
  const timers = [
    every(GET_EVERY_MS / factor, get, async () => expectStatus(await http.get(`${path}/epoch`, reader))),
    every(SEND_EVERY_MS / factor, send, async () => {
      const body = { id: randomBytes(12).toString('hex'), ciphertext: randomBytes(400).toString('base64') };
      return expectStatus(await http.post(`${path}/messages`, writer, JSON.stringify(body)));
    }),
  ];
  return {
    stop: async () => {
      for (const timer of timers) clearInterval(timer);
      await Promise.all(running);
      return { get: get.summary(), send: send.summary(), errors: Object.fromEntries(errors) };
    },
  };
}
