// A program that is one device with its store in a folder, and that is killed at a step: not stopped, and not by itself in any orderly
// way. The test bundles it and starts it as a process (test/integration/client/killed.test.ts).
import { writeSync } from 'node:fs';
import { fileStore } from '../../client/file-store/index.ts';
import type { DeviceApi, DeviceStore, MlsGroup } from '../../client/index.ts';
import { MlsDevice, ProblemError } from '../../client/index.ts';
import { tsMls } from '../../client/ts-mls/index.ts';

/** What one life does. */
export interface KilledLife {
  readonly folder: string;
  /** Of the service, which is in the process of the test. */
  readonly url: string;
  /** Conversation id; absent: it makes one with bob. */
  readonly id?: string;
  /** Number of the step at which it is killed. Each write and each request has one before it and one after it. */
  readonly dies?: number;
  /** Or so many milliseconds after its first step: in the middle of a write, say. */
  readonly diesAfterMs?: number;
  readonly acts: readonly KilledAct[];
  /** Number of its first message. */
  readonly first: number;
}

export type KilledAct = 'write' | 'update' | 'rejoin' | 'read' | 'bob updates' | 'bob writes';

/** What it says before it is gone, a line of JSON each. */
export type Said =
  | { readonly said: 'asked' | 'promised'; readonly message: string }
  | { readonly said: 'created'; readonly id: string }
  | {
      readonly said: 'state';
      readonly texts: readonly string[];
      readonly authenticator: string;
      readonly left: number;
    };

const life = JSON.parse(process.argv[2] ?? '') as KilledLife;
let steps = 0;

function say(what: Said): void {
  writeSync(1, `${JSON.stringify(what)}\n`);
}

/** SIGKILL ends a process before the next instruction. */
function step(): void {
  if (++steps === life.dies) process.kill(process.pid, 'SIGKILL');
  if (steps === 1 && life.diesAfterMs !== undefined)
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), life.diesAfterMs);
}

async function between<T>(act: () => Promise<T>): Promise<T> {
  step();
  const result = await act();
  step();
  return result;
}

async function ask(name: string, given: readonly unknown[]): Promise<unknown> {
  const response = await fetch(life.url, { method: 'POST', body: JSON.stringify({ name, given }) });
  const text = await response.text();
  const answer = text === '' ? undefined : (JSON.parse(text) as unknown);
  if (!response.ok) throw new ProblemError(answer as Record<string, unknown>, response);
  return answer;
}

const api = new Proxy({} as DeviceApi, {
  get:
    (_target, name) =>
    (...given: unknown[]) =>
      between(() => ask(String(name), given)),
});

function mortal(store: DeviceStore): DeviceStore {
  return { ...store, write: (changes) => between(() => store.write(changes)) };
}

let n = life.first;
const does: Record<KilledAct, (group: MlsGroup) => Promise<unknown>> = {
  write: async (group) => {
    const id = `message-${n++}`;
    say({ said: 'asked', message: id });
    await group.enqueue({ id, text: id, at: 0 });
    say({ said: 'promised', message: id });
  },
  update: (group) => group.update(),
  rejoin: (group) => group.resync(),
  read: (group) => group.receive(),
  'bob updates': () => ask('bob updates', []),
  'bob writes': () => ask('bob writes', []),
};

const store = await fileStore(life.folder);
const options = { mls: tsMls, api, user: 'alice', device: 'phone', keyPackages: 1, store: mortal(store) };
const device = await MlsDevice.open(options);
if (life.id === undefined) {
  const { id } = await device.createGroup();
  await device.invite(id, 'bob');
  say({ said: 'created', id });
} else {
  const group = device.group(life.id);
  for (const act of life.acts) {
    await does[act](group);
    await group.deliver();
  }
  if (life.dies === undefined && life.diesAfterMs === undefined) {
    // The last life is a whole one.
    await group.receive();
    await group.deliver();
    await group.receive();
    const texts = group.history.map(({ text }) => text);
    say({ said: 'state', texts, authenticator: group.epochAuthenticator, left: group.outbox.length });
  }
}
await store.close?.();
process.exit(0);
