import { type JWK, type JWTVerifyResult, SignJWT, exportJWK, generateKeyPair } from 'jose';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type ProviderKeys, makeProviderKeys } from '../../../api/http/provider-keys.ts';
import { AppError } from '../../../domain/errors.ts';

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

/** What the provider publishes, or why it does not. */
let published: JWK[] | Error | 'hangs';
let fetches = 0;
let outcomes: string[] = [];
let gone = 0;
let keys: ProviderKeys;
const one = await generateKeyPair('ES256');
const two = await generateKeyPair('ES256');

const jwk = async ({ publicKey }: Pair, kid?: string): Promise<JWK> => ({
  ...(await exportJWK(publicKey)),
  ...(kid === undefined ? {} : { kid }),
});
const sign = ({ privateKey }: Pair, kid?: string, claims: Record<string, unknown> = {}): Promise<string> =>
  new SignJWT({ sub: 'alice', exp: Math.floor(Date.now() / 1000) + 3600, iss: 'me', ...claims })
    .setProtectedHeader({ alg: 'ES256', ...(kid === undefined ? {} : { kid }) })
    .sign(privateKey);

async function start(): Promise<void> {
  keys = await makeProviderKeys({
    fetchKeys: (signal) => {
      fetches++;
      if (published === 'hangs') {
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new Error('it does not answer in time')));
        });
      }
      return published instanceof Error ? Promise.reject(published) : Promise.resolve({ keys: published });
    },
    log: pino({ level: 'silent' }),
    onFetch: (outcome) => void outcomes.push(outcome),
    onKeyGone: () => {
      gone++;
    },
  });
}

/** Whether the token is accepted, or why not. */
async function outcome(token: string): Promise<string> {
  const options = { algorithms: ['ES256'], issuer: 'me', currentDate: new Date() };
  return keys.verify(token, options).then(
    ({ payload }: JWTVerifyResult) => payload.sub ?? '',
    (error: unknown) => (error instanceof AppError ? error.code : (error as { code?: string }).code) ?? String(error),
  );
}

/** What a promise has become by now: `undefined` = it still waits. */
function watch<T>(promise: Promise<T>): () => T | undefined {
  let result: T | undefined;
  void promise.then((value) => (result = value));
  return () => result;
}

/** Keys are computed in real time, which a busy machine has little of. Each try moves the clock of the test a little too. */
const soon = (check: () => Promise<void> | void): Promise<void> => vi.waitFor(check, { timeout: 30_000 });

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
  fetches = 0;
  outcomes = [];
  gone = 0;
  published = [await jwk(one, 'one')];
});
afterEach(() => {
  keys.close();
  vi.useRealTimers();
});

test('a new key is fetched for its first token, also when the keys were fetched just now', async () => {
  await start();
  published = [await jwk(one, 'one'), await jwk(two, 'two')];
  const accepted = watch(outcome(await sign(two, 'two')));
  await vi.advanceTimersByTimeAsync(1000);
  await soon(() => expect(accepted()).toBe('alice'));
  expect(fetches).toBe(2);
  // After a quiet time at once.
  await vi.advanceTimersByTimeAsync(10_000);
  const third = await generateKeyPair('ES256');
  published = [await jwk(third, 'three')];
  const next = watch(outcome(await sign(third, 'three')));
  await vi.advanceTimersByTimeAsync(0);
  await soon(() => expect(next()).toBe('alice'));
});

test('made-up keys make a fetch each 5 s at most, and a rotation is seen all the same', async () => {
  await start();
  const forged = await sign(two, 'made-up');
  const answers: string[] = [];
  for (let second = 0; second < 120; second++) {
    for (let i = 0; i < 5; i++) void outcome(forged).then((answer) => answers.push(answer));
    await vi.advanceTimersByTimeAsync(1000);
  }
  expect(fetches).toBeLessThanOrEqual(120 / 5 + 4);
  expect(new Set(answers)).toEqual(new Set(['ERR_JWKS_NO_MATCHING_KEY']));
  // Those with a known key wait for nothing.
  const known = watch(outcome(await sign(one, 'one')));
  await soon(() => expect(known()).toBe('alice'));
  published = [await jwk(one, 'one'), await jwk(two, 'two')];
  const rotated = watch(outcome(await sign(two, 'two')));
  await vi.advanceTimersByTimeAsync(5000);
  await soon(() => expect(rotated()).toBe('alice'));
});

test('more than a thousand who wait for keys are told to come again', async () => {
  await start();
  const forged = await sign(two, 'made-up');
  const answers = watch(Promise.all(Array.from({ length: 1010 }, () => outcome(forged))));
  await soon(async () => {
    await vi.advanceTimersByTimeAsync(1000);
    expect(answers()?.filter((answer) => answer === 'unavailable')).toHaveLength(10);
  });
});

test('a token that is refused in any case asks for no fetch', async () => {
  await start();
  await vi.advanceTimersByTimeAsync(60_000);
  const expired = await sign(two, 'two', { exp: Math.floor(Date.now() / 1000) - 60 });
  for (const token of [expired, await sign(two, 'two', { iss: 'other' }), await sign(two, 'two', { exp: undefined })]) {
    expect(await outcome(token)).toBe('ERR_JWKS_NO_MATCHING_KEY');
  }
  expect(fetches).toBe(1);
});

test('without a key id every key that fits is tried, and a new one fetched', async () => {
  published = [await jwk(one), await jwk(two)];
  await start();
  expect(await outcome(await sign(two))).toBe('alice');
  await vi.advanceTimersByTimeAsync(60_000);
  const third = await generateKeyPair('ES256');
  published = [await jwk(third)];
  const rotated = watch(outcome(await sign(third)));
  await vi.advanceTimersByTimeAsync(0);
  await soon(() => expect(rotated()).toBe('alice'));
});

test('a provider that is away: known keys count, others are told at once, and it is asked again until it answers', async () => {
  await start();
  published = new Error('ECONNREFUSED');
  await vi.advanceTimersByTimeAsync(5 * 60_000);
  expect(keys.state()).toMatchObject({ known: 1, isAway: true });
  expect(await outcome(await sign(one, 'one'))).toBe('alice');
  expect(await outcome(await sign(two, 'two'))).toBe('unavailable');
  await vi.advanceTimersByTimeAsync(10 * 60_000);
  // Not more often than each 5 s on average, however many ask.
  expect(outcomes.filter((what) => what === 'failed').length).toBeLessThan(130);
  published = [await jwk(two, 'two')];
  await vi.advanceTimersByTimeAsync(10_000);
  expect(keys.state()).toMatchObject({ known: 1, isAway: false });
  expect(await outcome(await sign(two, 'two'))).toBe('alice');
  expect(gone).toBe(1);
});

test('a provider that hangs holds nobody for longer than 4 s', async () => {
  const limits: number[] = [];
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    limits.push(ms);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), ms);
    return controller.signal;
  });
  published = 'hangs';
  const starting = start();
  await vi.advanceTimersByTimeAsync(4000);
  await starting;
  expect(limits).toEqual([4000]);
  expect(keys.state()).toMatchObject({ known: 0, isAway: true, ageSeconds: undefined });
  // The next fetch hangs too. Nobody waits for it.
  await vi.advanceTimersByTimeAsync(1000);
  expect(fetches).toBe(2);
  expect(await outcome(await sign(one, 'one'))).toBe('unavailable');
  vi.restoreAllMocks();
});

test('a key that the provider takes back counts for five minutes at most', async () => {
  await start();
  published = [await jwk(two, 'two')];
  await vi.advanceTimersByTimeAsync(5 * 60_000);
  expect(gone).toBe(1);
  const refused = watch(outcome(await sign(one, 'one')));
  await vi.advanceTimersByTimeAsync(2000);
  await soon(() => expect(refused()).toBe('ERR_JWKS_NO_MATCHING_KEY'));
});
