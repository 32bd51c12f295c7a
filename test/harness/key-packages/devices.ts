import type { Answer } from '../../../tools/harness/answer.ts';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { type TestKeyPackage, testKeyPackage, testKeyPackages } from '../key-packages.ts';

/** One device of a user, over HTTP. */
export interface TestDevice {
  readonly user: string;
  readonly device: string;
  readonly ask: (what: string, body?: unknown, headers?: Readonly<Record<string, string>>) => Promise<Answer>;
  /** Uploads new packages. */
  readonly stock: (count: number, withLastResort?: boolean) => Promise<TestKeyPackage[]>;
  /** Claims, and expects 200. */
  readonly claim: (user: string, body?: unknown) => Promise<Claimed>;
}

export interface Claimed {
  readonly keyPackages: readonly { device: string; keyPackage: string; ref: string; lastResort: boolean }[];
  readonly exhausted: readonly string[];
}

let count = 0;

/** A user id that no other test has. */
export function newUser(name: string): string {
  return `${name}-${count++}`;
}

/** Acts as one device. */
export async function deviceOf(service: InProcessApi, user: string, device = 'phone'): Promise<TestDevice> {
  const authorization = `Bearer ${await tokenOf(user, { device })}`;
  const ask: TestDevice['ask'] = (what, body, headers = {}) =>
    service.ask(what, { headers: { authorization, ...headers }, ...(body === undefined ? {} : { body }) });
  const ok = (answer: Answer): Answer => {
    if (answer.status !== 200) throw new Error(answer.text);
    return answer;
  };
  return {
    user,
    device,
    ask,
    stock: async (amount, withLastResort = false) => {
      const packages = await testKeyPackages(user, amount);
      const last = withLastResort ? await testKeyPackage(user, { lastResort: true }) : undefined;
      const body = { keyPackages: packages.map(({ message }) => message), lastResort: last?.message };
      ok(await ask('POST /v1/key-packages', body));
      return last === undefined ? packages : [...packages, last];
    },
    claim: async (of, body = {}) =>
      ok(await ask(`POST /v1/users/${encodeURIComponent(of)}/key-packages/claim`, body)).body as unknown as Claimed,
  };
}
