import { expect, test, vi } from 'vitest';
import { type Balancer, startBalancer } from '../../tools/harness/balancer.ts';
import type { Service } from '../../tools/harness/service.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useCleanup } from '../harness/cleanup.ts';
import { sendThrough } from '../harness/send-through.ts';
import { startServiceOnDatabase } from '../harness/service.ts';

vi.setConfig({ testTimeout: 120_000 });

const later = useCleanup();
const SENDERS = 8;
/** Twice the pause between two questions of the balancer. */
const DELAY_MS = 2000;

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
  const load = await sendThrough(balancer.url, () => service.token('alice'), SENDERS);
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
