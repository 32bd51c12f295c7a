import { randomBytes } from 'node:crypto';
import { ParleyClient, createHttp, toBase64, toBase64Url } from '../../client/index.ts';
import { expect, test, vi } from 'vitest';
import { type Balancer, startBalancer } from '../../tools/harness/balancer.ts';
import type { Service } from '../../tools/harness/service.ts';
import { spend, waitUntil } from '../../tools/harness/wait-until.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { startServiceOnDatabase } from '../harness/service.ts';

vi.setConfig({ testTimeout: 120_000 });

const later = useCleanup();
const SENDERS = 8;
/** Leaves the machine time to start processes. */
const PAUSE_MS = 25;
/** Twice the pause between two questions of the balancer. */
const DELAY_MS = 2000;

/** Sends again and again, without a second try of anything. @returns what became of the requests, when it is stopped */
async function sendThrough(
  balancer: Balancer,
  service: Service,
): Promise<{ readonly answered: () => number; readonly stop: () => Promise<{ failures: readonly string[] }> }> {
  const client = new ParleyClient(
    createHttp({ baseUrl: balancer.url, token: () => service.token('alice'), attempts: 1 }),
  );
  const failures: string[] = [];
  let answered = 0;
  let isOver = false;
  const conversations = await Promise.all(
    Array.from({ length: SENDERS }, async () => {
      const id = toBase64Url(randomBytes(18));
      await client.createConversation({ id, protocol: 'opaque', policy: { externalJoin: 'nobody' } });
      return id;
    }),
  );
  const senders = conversations.map(async (conversation) => {
    while (!isOver) {
      try {
        await client.send(conversation, { id: crypto.randomUUID(), ciphertext: toBase64(randomBytes(40)) });
        answered++;
      } catch (error) {
        failures.push(String(error));
      }
      await spend(PAUSE_MS);
    }
  });
  return {
    answered: () => answered,
    stop: async () => {
      isOver = true;
      await Promise.all(senders);
      return { failures };
    },
  };
}

/** Replaces API processes, one after the other: a new one is started first, and the old one gets SIGTERM. */
async function replace(
  count: number,
  { service, balancer, answered }: { service: Service; balancer: Balancer; answered: () => number },
): Promise<void> {
  for (const old of service.apis.slice(0, count)) {
    const { url } = await service.addApi();
    await waitUntil(() => balancer.targets().includes(url), { what: 'the balancer knows the new process' });
    expect(await old.stop()).toBe(0);
    const before = answered();
    await waitUntil(() => answered() > before + SENDERS, { what: 'the others serve' });
  }
}

test.each([
  ['no request is refused if a process serves on while the balancer notices', DELAY_MS, 2, false],
  ['requests are refused if it does not', 0, 1, true],
])('in a rolling restart, %s', async (_, delayMs, processes, isRefused) => {
  const { service } = await startServiceOnDatabase(later, {
    apis: 2,
    workers: 0,
    env: { CONVERSATION_PATH: 'direct', SHUTDOWN_DELAY_MS: String(delayMs) },
  });
  const balancer = await startBalancer(service.urls);
  later('balancer', balancer.close);
  const load = await sendThrough(balancer, service);
  await replace(processes, { service, balancer, answered: load.answered });
  const { failures } = await load.stop();
  if (isRefused) {
    expect(balancer.refused()).toBeGreaterThan(0);
    expect(failures).not.toEqual([]);
  } else {
    expect(failures).toEqual([]);
    expect(balancer.refused()).toBe(0);
  }
});
