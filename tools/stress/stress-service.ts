import { type Service, type ServiceTarget, startService } from '../harness/service.ts';
import { LOAD_ENVIRONMENT } from '../load/environment.ts';
import { residentMbs } from '../load/process-stats.ts';

export interface StressTarget extends ServiceTarget {
  /** Servers whose memory is shown with that of the service. */
  readonly serverPids?: Readonly<Record<string, number>>;
}

/** Parley under stress: one API process and two workers. */
export interface StressService extends Service {
  /** Resident memory by process, now. */
  readonly memoryMb: () => Readonly<Record<string, number>>;
}

/** Starts the service on a database and a Temporal server that are there already. */
export async function startStressService(target: StressTarget): Promise<StressService> {
  const service = await startService(
    { ...target, name: 'stress' },
    { apis: 1, workers: 2, env: { ...LOAD_ENVIRONMENT, CONVERSATION_PATH: 'workflow' } },
  );
  const pids = (): Record<string, number> => ({
    ...Object.fromEntries(service.apis.map(({ pid }) => ['api', pid])),
    ...Object.fromEntries(service.workers.map(({ pid }, i) => [`worker-${i + 1}`, pid])),
  });
  return { ...service, memoryMb: () => residentMbs({ ...pids(), ...target.serverPids }) };
}
