import { createCleanup } from '../../process/cleanup.ts';
import { freePort } from '../../local/ports.ts';
import { LIMITS_OFF } from '../harness/limits-off.ts';
import { startServers } from '../harness/servers.ts';
import { type Service, startService } from '../harness/service.ts';
import { collectedMemory, type MemoryUse } from '../load/inspector.ts';
import { cpuMs, residentMb } from '../load/process-stats.ts';
import { sleep } from '../load/closed-loop.ts';
import type { Target } from './attack-case.ts';
import { type Bystanders, startBystanders } from './bystanders.ts';
import { makeAsk } from './requests.ts';
import { seedConversation } from './seed.ts';

/** The running service, with those who attack it and those who only use it. */
export interface Battlefield {
  readonly target: Target;
  readonly bystanders: Bystanders;
  /** Memory of the API process after garbage collection. */
  readonly memory: () => Promise<MemoryUse>;
  /** Longest stop of its event loop since the last call, in milliseconds. `undefined`: it does not say. */
  readonly longestStopMs: () => Promise<number | undefined>;
  /** Starts a new API process if the attack ended the old one. @returns true if it did */
  readonly restore: () => Promise<boolean>;
  readonly close: () => Promise<void>;
}

/** The harness switches all limits off. Here they have their defaults, as in a deployment: an empty variable counts as unset. */
const DEFAULT_LIMITS = Object.fromEntries(Object.keys(LIMITS_OFF).map((name) => [name, '']));

/** A new process compiles its code while it serves its first some hundred requests. */
const WARM_UP_MS = 4000;

/** Starts Postgres, Temporal, one API process and one worker. The direct path: an attack must not wait for Temporal. */
export async function startBattlefield(say: (line: string) => void): Promise<Battlefield> {
  const cleanup = createCleanup();
  try {
    const servers = await startServers({ say });
    cleanup.add('servers', () => servers.stop());
    const databaseUrl = await servers.createDatabase('attack');
    const inspectPort = await freePort();
    const service: Service = await startService(
      { databaseUrl, temporalAddress: servers.temporalAddress, name: 'attack' },
      {
        apis: 1,
        workers: 1,
        env: { ...DEFAULT_LIMITS, NODE_ENV: 'production', LOG_LEVEL: 'warn', CONVERSATION_PATH: 'direct' },
        apiEnv: [{ NODE_OPTIONS: `--inspect=127.0.0.1:${inspectPort}` }],
      },
    );
    cleanup.add('service', service.stop);
    const api = (): { url: string; pid: number; isRunning: () => boolean } => {
      const [first] = service.apis;
      if (first === undefined) throw new Error('There is no API');
      return first;
    };
    const target: Target = {
      get url() {
        return api().url;
      },
      ask: makeAsk(() => api().url, service.token),
      token: service.token,
      clientOf: (user, device) => service.clientOf(user, device === undefined ? {} : { device }),
      pool: service.pool,
      process: {
        get pid() {
          return api().pid;
        },
        cpuMs: () => cpuMs(api().pid) ?? 0,
        residentMb: () => residentMb(api().pid) ?? 0,
      },
      isShort: false,
    };
    const conversation = await seedConversation(service.pool, ['bystander-1', 'bystander-2']);
    const begin = async (): Promise<Bystanders> =>
      startBystanders({
        url: target.url,
        reader: `Bearer ${await service.token('bystander-1')}`,
        writer: `Bearer ${await service.token('bystander-2')}`,
        conversation,
      });
    let bystanders = await begin();
    cleanup.add('bystanders', () => bystanders.close());
    const warmUp = async (): Promise<void> => {
      bystanders.startWarmUp();
      await sleep(WARM_UP_MS);
      await bystanders.stop();
    };
    await warmUp();
    return {
      target,
      bystanders: {
        start: () => bystanders.start(),
        startWarmUp: () => bystanders.startWarmUp(),
        stop: () => bystanders.stop(),
        close: () => bystanders.close(),
      },
      memory: () => collectedMemory(inspectPort),
      longestStopMs: async () => {
        const text = await (await fetch(`${target.url}/metrics`)).text();
        const seconds = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text)?.[1];
        return seconds === undefined ? undefined : Number(seconds) * 1000;
      },
      restore: async () => {
        if (api().isRunning()) return false;
        await service.replace('api', 0);
        await bystanders.close();
        bystanders = await begin();
        await warmUp();
        return true;
      },
      close: () => cleanup.run(),
    };
  } catch (error) {
    await cleanup.run().catch(() => undefined);
    throw error;
  }
}
