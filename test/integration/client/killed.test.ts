import { spawn } from 'node:child_process';
import { mkdtempSync, symlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { rolldown } from 'rolldown';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MlsDevice, ProblemError } from '../../../client/index.ts';
import { tsMls } from '../../../client/ts-mls/index.ts';
import { FakeService } from '../../harness/fake-service.ts';
import { useFolder } from '../../harness/folder.ts';
import type { KilledAct, KilledLife, Said } from '../../harness/killed-device.ts';

/** `KILLED_RUNS=1000 npx vitest run test/integration/client/killed.test.ts` runs more; `npm run test:long` does, too. */
const RUNS = Number(process.env.KILLED_RUNS ?? 3);
/** Only to end what hangs. */
const TIMEOUT_MS = 60_000 + RUNS * 30_000;

const ACTS = fc.constantFrom<KilledAct>(
  ...(['write', 'write', 'write', 'update', 'rejoin', 'read', 'bob updates', 'bob writes'] as const),
);
/** Each life ends at a step, or somewhere in the middle of one. */
const LIVES = fc.array(
  fc.record({
    death: fc.oneof(
      { weight: 3, arbitrary: fc.record({ dies: fc.integer({ min: 1, max: 60 }) }) },
      { weight: 1, arbitrary: fc.record({ diesAfterMs: fc.integer({ min: 0, max: 150 }) }) },
    ),
    acts: fc.array(ACTS, { minLength: 2, maxLength: 5 }),
  }),
  { minLength: 2, maxLength: 3 },
);

const folder = useFolder();
let program = '';
let server: Server;
/** Answers the requests of the process that lives now. */
let answer: (name: string, given: unknown[]) => Promise<unknown>;

beforeAll(async () => {
  program = path.join(folder, 'device.mjs');
  // classic-level has a binary, and is not in the bundle.
  symlinkSync(path.resolve('node_modules'), path.join(folder, 'node_modules'));
  const build = await rolldown({
    input: path.join(import.meta.dirname, '../../harness/killed-device.ts'),
    platform: 'node',
    external: ['classic-level'],
  });
  await build.write({ file: program, format: 'esm', codeSplitting: false });
  await build.close();
  server = createServer((request, response) => {
    const act = async (): Promise<void> => {
      const { name, given } = JSON.parse(await text(request)) as { name: string; given: unknown[] };
      try {
        response.end(JSON.stringify((await answer(name, given)) ?? null));
      } catch (error) {
        const known = error instanceof ProblemError ? error : undefined;
        const { status = 500, code = 'internal', details = {}, message = String(error) } = known ?? {};
        response.writeHead(status).end(JSON.stringify({ title: message, code, ...details }));
      }
    };
    act().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

interface Ended {
  readonly said: readonly Said[];
  readonly signal: NodeJS.Signals | null;
}

async function live(life: Omit<KilledLife, 'url'>): Promise<Ended> {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const child = spawn(process.execPath, [program, JSON.stringify({ ...life, url })], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, errors, { code, signal }] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => resolve({ code, signal }));
    }),
  ]);
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`the device ended with ${code}: ${errors}`);
  const said = out.split('\n').flatMap((line) => (line.endsWith('}') ? [JSON.parse(line) as Said] : []));
  return { said, signal };
}

describe('a process that is killed at any step', () => {
  test(
    'loses no message, sends none twice, uses no key twice, and neither loses nor repeats its commits',
    async () => {
      let killed = 0;
      const property = fc.asyncProperty(LIVES, async (plan) => {
        const service = new FakeService();
        const bobs = await MlsDevice.open({
          ...{ mls: tsMls, api: service.api('bob'), user: 'bob', device: 'phone', keyPackages: 1 },
        });
        let id = '';
        let written = 0;
        const api = service.api('alice') as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>;
        answer = async (name, given) => {
          if (name === 'bob updates') await bobs.group(id).update();
          else if (name === 'bob writes') await bobs.group(id).send(`bob-${written++}`);
          else return api[name]?.(...given);
          return undefined;
        };
        const store = mkdtempSync(path.join(folder, 'store-'));
        const [created] = (await live({ folder: store, acts: [], first: 0 })).said;
        id = created?.said === 'created' ? created.id : '';
        await bobs.joinGroups();
        const bob = bobs.group(id);
        const all: Said[] = [];
        for (const { death, acts } of plan) {
          const first = all.filter(({ said }) => said === 'asked').length;
          const { said, signal } = await live({ folder: store, id, acts, first, ...death });
          all.push(...said);
          if (signal !== null) killed++;
        }
        const { said } = await live({ folder: store, id, acts: [], first: 0 });
        const alice = said.find((one) => one.said === 'state');
        await bob.receive();
        const named = (which: 'asked' | 'promised'): string[] =>
          all.flatMap((one) => (one.said === which ? [one.message] : []));
        const read = bob.history.map((message) => message.text);
        const own = read.filter((message) => message.startsWith('message'));
        expect(own.filter((message) => named('promised').includes(message))).toEqual(named('promised'));
        expect(new Set(own).size).toBe(own.length);
        expect(named('asked')).toEqual(expect.arrayContaining(own));
        // A key that was used twice opens one of the two messages.
        expect(bob.undecryptable).toEqual([]);
        expect(alice).toMatchObject({ authenticator: bob.epochAuthenticator, left: 0 });
        expect(alice?.texts.filter((message) => message.startsWith('message'))).toEqual(own);
      });
      await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
      expect(killed).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});
