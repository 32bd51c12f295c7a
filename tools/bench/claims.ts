import { randomBytes } from 'node:crypto';
import { encodeMessage, loadSuite, makeKeyPackage } from '../../client/testing.ts';
import { describe } from '../load/closed-loop.ts';
import { makeLatencyRecorder, median } from '../load/histogram.ts';
import { type HttpSender, expectStatus, makeHttpSender } from '../load/http-sender.ts';
import { makeTokensOf } from '../load/tokens.ts';
import type { CaseContext } from './case.ts';
import { type Measurement, toMeasurement } from './measurement.ts';

const CLAIMS = 100;
/** Rounds for each second of measurement. Each round has its own pool, which is made outside of the timed part. */
const ROUNDS_PER_SECOND = 0.5;
const WARM_UP = 1;

interface Claimed {
  readonly keyPackages: readonly { readonly ref: string; readonly lastResort: boolean }[];
  readonly exhausted: readonly string[];
}

/**
 * 100 users claim a key package of one device at the same time, half of them at each of two API processes. The pool
 * holds exactly 100 packages. It is an error if two users get the same package.
 */
export async function measureClaims({ contender, measureMs }: CaseContext): Promise<Measurement[]> {
  const second = await contender.startApi();
  const apis = [makeHttpSender(contender.url, CLAIMS / 2), makeHttpSender(second.url, CLAIMS / 2)] as const;
  const failures: string[] = [];
  const recorder = makeLatencyRecorder();
  const totals: number[] = [];
  try {
    const name = randomBytes(9).toString('base64url');
    const tokens = await makeTokensOf(Array.from({ length: CLAIMS }, (_, number) => `${name}-claimer-${number}`));
    const rounds = WARM_UP + Math.max(1, Math.round((ROUNDS_PER_SECOND * measureMs) / 1000));
    for (let round = 0; round < rounds; round++) {
      const owner = `${name}-owner-${round}`;
      const refs = await fill(apis[0], owner);
      const startedAt = performance.now();
      const claimed = await Promise.all(
        tokens.map(async (token, i): Promise<Claimed | undefined> => {
          const from = performance.now();
          try {
            const api = apis[i % 2 === 0 ? 0 : 1];
            const answer = expectStatus(await api.post(`/v1/users/${owner}/key-packages/claim`, token, '{}'));
            if (round >= WARM_UP) recorder.record(performance.now() - from);
            return JSON.parse(answer) as Claimed;
          } catch (error) {
            failures.push(describe(error));
            return undefined;
          }
        }),
      );
      if (round >= WARM_UP) totals.push(performance.now() - startedAt);
      const got = claimed.flatMap((one) => one?.keyPackages ?? []);
      const distinct = new Set(got.map(({ ref }) => ref));
      const isRight = got.length === CLAIMS && distinct.size === CLAIMS && got.every(({ ref }) => refs.has(ref));
      if (!isRight) failures.push(`${got.length} packages for ${CLAIMS} claims, ${distinct.size} of them distinct`);
    }
    const seconds = totals.reduce((sum, ms) => sum + ms, 0) / 1000;
    const measured = toMeasurement('claims-100', contender.name, { seconds, latency: recorder.summary(), failures });
    return [{ ...measured, values: { ...measured.values, totalMs: median(totals) } }];
  } finally {
    await Promise.all(apis.map((api) => api.close()));
    await second.stop();
  }
}

/** Fills the pool of a new user. @returns the refs, base64 */
async function fill(http: HttpSender, user: string): Promise<ReadonlySet<string>> {
  const suite = await loadSuite();
  const signatureKeyPair = await suite.signature.keygen();
  const identity = { user, device: 'bench', signatureKeyPair };
  const own = await Promise.all(Array.from({ length: CLAIMS }, () => makeKeyPackage(identity, suite)));
  const keyPackages = own.map(({ publicPackage }) =>
    encodeMessage({ wireformat: 'mls_key_package', keyPackage: publicPackage }),
  );
  const [token = ''] = await makeTokensOf([user]);
  expectStatus(await http.post('/v1/key-packages', token, JSON.stringify({ keyPackages })));
  return new Set(own.map(({ ref }) => ref));
}
