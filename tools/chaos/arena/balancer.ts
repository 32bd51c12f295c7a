import { spend } from '../../harness/wait-until.ts';

/** As a load balancer in front of the API processes: it asks each for its readiness and leaves out those that do not answer. */
export interface Balancer {
  /** Those that are well, or all when none is. */
  readonly urls: () => readonly string[];
  readonly stop: () => void;
}

const EVERY_MS = 500;
const PATIENCE_MS = 1000;

export function startBalancer(all: readonly string[]): Balancer {
  const well = new Set(all);
  let isStopped = false;
  const watch = async (url: string): Promise<void> => {
    while (!isStopped) {
      if (await isReady(url)) well.add(url);
      else well.delete(url);
      await spend(EVERY_MS);
    }
  };
  for (const url of all) void watch(url);
  return {
    urls: () => (well.size === 0 ? all : all.filter((url) => well.has(url))),
    stop: () => (isStopped = true),
  };
}

/** Whether a process says that it is ready, in good time. */
export async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    await response.body?.cancel();
    return response.status === 200;
  } catch {
    return false;
  }
}
