import { randomBytes } from 'node:crypto';
import { loadSuite } from '../../../client/testing.ts';
import type { Answer } from '../../harness/answer.ts';
import type { AttackCase, Target } from '../attack-case.ts';
import { groupInfoBytes, inventedTree } from '../mls-bytes.ts';
import { keyPackagesOf } from '../own-keys.ts';
import { seedConversation } from '../seed.ts';
import { Tally } from '../tally.ts';

/** CPU time that one device may demand of a process in a minute: one core of two. */
const MAX_CPU_S_PER_MINUTE = 60;
/** Requests of each kind, from which the cost of one is measured. */
const SAMPLE = 12;

interface Demand {
  readonly what: string;
  readonly send: (n: number) => Promise<Answer>;
}

export const cpuTime: AttackCase = {
  name: 'cpu-time',
  does: 'A user sends the most expensive requests of each kind, again and again, within the limits that `RateLimit` shows.',
  work: 'What the limits allow in a minute times what one request costs: above 1,000 CPU-seconds where limits count requests.',
  hasShortForm: false,
  run: async (target) => {
    const tally = new Tally();
    const failures: string[] = [];
    const all = await demands(target);
    const idleShare = await cpuShareOf(target);
    for (const { what, send } of all) {
      const before = target.process?.cpuMs() ?? 0;
      const startedAt = performance.now();
      let sent = 0;
      let spent = 0;
      let quota = Infinity;
      let last: number | undefined;
      while (sent < SAMPLE) {
        const answer = tally.add(await send(sent));
        sent++;
        const { left, most } = rateLimitOf(answer.headers);
        quota = Math.min(quota, most);
        if (last !== undefined && left < last) spent += last - left;
        last = left;
        if (answer.status === 429) break;
      }
      const othersMs = idleShare * (performance.now() - startedAt);
      const eachS = Math.max(0, (target.process?.cpuMs() ?? 0) - before - othersMs) / 1000 / sent;
      // The first request is not in `spent`, because nothing was known before it.
      const weight = sent > 1 ? Math.max(spent / (sent - 1), 0) : 1;
      const perMinute = weight === 0 ? Infinity : (quota / weight) * eachS;
      const shown = Number.isFinite(perMinute) ? Math.round(perMinute) : 1e9;
      tally.note(`CPU-seconds a minute by ${what}`, shown);
      if (shown > MAX_CPU_S_PER_MINUTE) {
        failures.push(`${what} may demand ${shown} CPU-seconds a minute: ${(eachS * 1000).toFixed(0)} ms each.`);
      }
    }
    return { achieved: tally.counts, failures };
  },
};

/** Share of a core that the process needs for others, who go on meanwhile. */
async function cpuShareOf({ process: attacked }: Target): Promise<number> {
  const before = attacked?.cpuMs() ?? 0;
  const startedAt = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 2000));
  return ((attacked?.cpuMs() ?? 0) - before) / (performance.now() - startedAt);
}

async function demands(target: Target): Promise<Demand[]> {
  const suite = await loadSuite();
  const users = ['packer', 'padder', 'gardener', 'lister'];
  const [packer = '', padder = '', gardener = '', lister = ''] = users;
  const keyPackages = await keyPackagesOf(packer, suite, 100);
  const id = await seedConversation(target.pool, users, { protocol: 'mls', policy: { groupInfo: 'optional' } });
  const opaque = await seedConversation(target.pool, users);
  const padding = randomBytes(5_900_000);
  const groupInfo = (tree: Uint8Array): { groupInfo: string } => ({
    groupInfo: groupInfoBytes({ conversation: id, epoch: 0, tree, externalPub: Buffer.alloc(32) }),
  });
  const padded = groupInfo(padding);
  const large = groupInfo(inventedTree(6500));
  const messages = Array.from({ length: 100 }, (_, i) => ({ i, ciphertext: randomBytes(7000).toString('base64') }));
  const put = (user: string, body: unknown): Promise<Answer> =>
    target.ask(`PUT /v1/conversations/${id}/group-info`, { user, body });
  return [
    {
      what: '100 key packages',
      send: () => target.ask('PUT /v1/key-packages', { user: packer, body: { keyPackages } }),
    },
    { what: 'a GroupInfo of 8 MB', send: () => put(padder, padded) },
    { what: 'a tree of 1 MB', send: () => put(gardener, large) },
    {
      what: 'a list of 100 messages',
      send: (n) =>
        target.ask(`POST /v1/conversations/${opaque}/messages`, {
          user: lister,
          body: { messages: messages.map(({ i, ciphertext }) => ({ id: `m-${n}-${i}`, ciphertext })) },
        }),
    },
  ];
}

/** `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): what is left, and what a minute has. */
function rateLimitOf(headers: Headers): { left: number; most: number } {
  const numbers = (name: string, key: string): number[] =>
    [...(headers.get(name) ?? '').matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].map(([, digits]) => Number(digits));
  return {
    left: Math.min(Infinity, ...numbers('ratelimit', 'r')),
    most: Math.min(Infinity, ...numbers('ratelimit-policy', 'q')),
  };
}
