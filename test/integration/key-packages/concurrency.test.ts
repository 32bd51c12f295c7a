import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { touchDevices } from '../../../store/device/devices.ts';
import { uploadKeyPackages } from '../../../store/key-package/key-packages.ts';
import { checkKeyPackages } from '../../../mls/key-package-batch.ts';
import { type TestKeyPackage, testKeyPackage, testKeyPackages } from '../../harness/key-packages.ts';
import { useService } from '../../harness/service.ts';
import type { Service } from '../../../tools/harness/service.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';

/** Claims through two API processes. */
const running = useService({ apis: 2, workers: 0 });
let service: Service;
beforeEach(async () => {
  service = running();
  await service.pool.query('truncate device, key_package, claim cascade');
});
// The first one is killed in some tests.
afterEach(async () => {
  if (service.apis[0]?.isRunning() === false) await service.replace('api', 0);
});

interface Claimed {
  readonly ref: string;
  readonly lastResort: boolean;
}

/** Sends one claim. `undefined` = the process died before it answered. */
async function claim(
  api: number,
  claimer: string,
  devices?: readonly string[],
  key?: string,
): Promise<{ status: number; keyPackages: Claimed[] } | undefined> {
  const token = await service.token(claimer);
  try {
    const response = await fetch(`${service.apis[api]?.url}/v1/users/alice/key-packages/claim`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      body: JSON.stringify({ devices }),
    });
    const { keyPackages = [] } = (await response.json()) as { keyPackages?: Claimed[] };
    return { status: response.status, keyPackages };
  } catch {
    return undefined;
  }
}

/** Claims as any claimer does who is told to come again: under the same key. A claim that waits for locks for seconds is told that. */
function claimUntilServed(api: number, claimer: string, devices?: readonly string[]): ReturnType<typeof claim> {
  const key = randomUUID();
  return tryUntil(
    async () => {
      const answer = await claim(api, claimer, devices, key);
      expect(answer?.status).not.toBe(503);
      return answer;
    },
    { what: 'the claim is served', everyMs: 500 },
  );
}

async function upload(
  packages: readonly TestKeyPackage[],
  lastResort?: TestKeyPackage,
  { replace = false, device = 'phone' } = {},
): Promise<void> {
  const bytes = ({ message }: TestKeyPackage): Buffer => Buffer.from(message, 'base64');
  const checked = await checkKeyPackages(
    { keyPackages: packages.map(bytes), lastResort: lastResort === undefined ? undefined : bytes(lastResort) },
    { user: 'alice', maxLifetimeMs: undefined },
  );
  const outcome = await uploadKeyPackages(service.pool, { user: 'alice', device }, checked, replace);
  expect(outcome.status).toBe('stored');
}

const refsOf = (packages: readonly { ref: string }[]): string[] => packages.map(({ ref }) => ref).sort();

test('200 claims at once through two processes get each package once, then the last resort, and none fails', async () => {
  const pool = await testKeyPackages('alice', 150);
  const last = await testKeyPackage('alice', { lastResort: true });
  await upload(pool, last);
  const answers = await Promise.all(Array.from({ length: 200 }, (_, i) => claimUntilServed(i % 2, `bob-${i % 20}`)));
  expect(answers.filter((answer) => answer?.status !== 200)).toEqual([]);
  const claimed = answers.flatMap((answer) => answer?.keyPackages ?? []);
  const ordinary = claimed.filter(({ lastResort }) => !lastResort);
  expect(refsOf(ordinary)).toEqual(refsOf(pool));
  expect(claimed.filter(({ lastResort }) => lastResort).map(({ ref }) => ref)).toEqual(Array(50).fill(last.ref));
});

test('claims during a replacement of all packages do not fail, get no package twice, and get no old package afterwards', async () => {
  const old = await testKeyPackages('alice', 60);
  const fresh = await testKeyPackages('alice', 60);
  const last = await testKeyPackage('alice', { lastResort: true });
  await upload(old, last);
  const before = Array.from({ length: 40 }, (_, i) => claimUntilServed(i % 2, `bob-${i}`));
  const during = upload(fresh, undefined, { replace: true });
  const answers = await Promise.all(before);
  await during;
  const after = await Promise.all(Array.from({ length: 20 }, (_, i) => claimUntilServed(i % 2, `carol-${i}`)));
  expect([...answers, ...after].filter((answer) => answer?.status !== 200)).toEqual([]);
  const claimed = [...answers, ...after].flatMap((answer) => answer?.keyPackages ?? []);
  expect(claimed).toHaveLength(60);
  expect(claimed.filter(({ lastResort }) => lastResort)).toEqual([]);
  expect(new Set(refsOf(claimed)).size).toBe(60);
  const known = new Set(refsOf(fresh));
  expect(after.flatMap((answer) => answer?.keyPackages ?? []).filter(({ ref }) => !known.has(ref))).toEqual([]);
});

test('claims of several devices in any order, uploads, resets and device sightings at once cause no deadlock', async () => {
  const devices = ['desk', 'laptop', 'phone', 'watch'];
  const owned = devices.map((device) => ({ user: 'alice', device }));
  const packages = await testKeyPackages('alice', 40);
  for (const [i, device] of devices.entries()) await upload(packages.slice(i * 10, i * 10 + 5), undefined, { device });
  const claims = Array.from({ length: 60 }, (_, i) =>
    claimUntilServed(i % 2, `bob-${i}`, i % 3 === 0 ? devices : [...devices].reverse()),
  );
  const others = devices.flatMap((device, i) => [
    upload(packages.slice(i * 10 + 5, i * 10 + 10), undefined, { device, replace: i % 2 === 0 }),
    touchDevices(service.pool, [...owned].reverse()),
    touchDevices(service.pool, owned),
  ]);
  await Promise.all(others);
  const answers = await Promise.all(claims);
  expect(answers.filter((answer) => answer?.status !== 200)).toEqual([]);
  const refs = answers.flatMap((answer) => refsOf(answer?.keyPackages ?? []));
  expect(new Set(refs).size).toBe(refs.length);
});

test('a process that is killed during claims may lose a package with its answer, but no package goes out twice', async () => {
  const pool = await testKeyPackages('alice', 100);
  await upload(pool);
  let answered = 0;
  const running = Array.from({ length: 90 }, async (_, i) => {
    const answer = await claim(i % 2, `bob-${i}`);
    answered++;
    return answer;
  });
  await waitUntil(() => answered >= 10, { what: 'some claims are answered', everyMs: 1 });
  await service.apis[0]?.kill9();
  const answers = await Promise.all(running);
  const heard = answers.flatMap((answer) => answer?.keyPackages ?? []);
  // The other process keeps serving. Like any claimer, this one repeats a claim that was not served, under its key.
  const rest: Claimed[] = [];
  for (let n = 0; ; n++) {
    const next = async (): Promise<readonly Claimed[]> => {
      const answer = await claim(1, 'carol', undefined, `rest-${n}`);
      expect(answer?.status).toBe(200);
      return answer?.keyPackages ?? [];
    };
    const claimed = await tryUntil(next, { what: 'the other process hands out what is left' });
    if (claimed.length === 0) break;
    rest.push(...claimed);
  }
  const refs = refsOf([...heard, ...rest]);
  expect(new Set(refs).size).toBe(refs.length);
  expect(refsOf(pool)).toEqual(expect.arrayContaining(refs));
  // Every package whose answer was lost is stored as claimed.
  const { rows } = await service.pool.query<{ ref: string }>(
    "select encode(ref, 'base64') as ref from key_package where claimed_at is null",
  );
  expect(rows).toEqual([]);
  const unheard = answers.filter((answer) => answer?.status !== 200).length;
  expect(pool.length - refs.length).toBeLessThanOrEqual(unheard);
});

test('claims that are repeated with their keys after a process was killed each get their package, and none is lost', async () => {
  const pool = await testKeyPackages('alice', 90);
  await upload(pool);
  const ask = (i: number, api: number): ReturnType<typeof claim> => claim(api, `bob-${i}`, undefined, `key-${i}`);
  let answered = 0;
  const running = Array.from({ length: pool.length }, async (_, i) => {
    const answer = await ask(i, i % 2);
    answered++;
    return answer;
  });
  await waitUntil(() => answered >= 10, { what: 'some claims are answered', everyMs: 1 });
  await service.apis[0]?.kill9();
  const heard = await Promise.all(running);
  const again = await Promise.all(heard.map((_, i) => ask(i, 1)));
  for (const [i, answer] of heard.entries()) if (answer !== undefined) expect(again[i]).toEqual(answer);
  expect(refsOf(again.flatMap((answer) => answer?.keyPackages ?? []))).toEqual(refsOf(pool));
});
