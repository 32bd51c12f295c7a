import type { Fault, Injected } from '../fault.ts';
import { pick } from '../fault.ts';

interface Stoppable {
  readonly signal: (signal: 'SIGSTOP' | 'SIGCONT') => void;
}

/** Stopped processes keep their connections and answer nothing. */
function stop(what: string, parts: readonly Stoppable[]): Promise<Injected> {
  for (const part of parts) part.signal('SIGSTOP');
  return Promise.resolve({
    what,
    heal: () => {
      for (const part of parts) part.signal('SIGCONT');
    },
  });
}

export const apiStopped: Fault = {
  name: 'api-stopped',
  does: 'SIGSTOP of one API process',
  seconds: [10, 3],
  breaksClients: true,
  inject: (stage) => {
    const api = pick(stage, stage.arena.apis);
    return stop(api.name, [api]);
  },
};

export const workerStopped: Fault = {
  name: 'worker-stopped',
  does: 'SIGSTOP of one worker',
  seconds: [15, 3],
  isBounded: true,
  isShort: true,
  inject: (stage) => {
    const worker = pick(stage, stage.arena.workers);
    return stop(worker.name, [worker]);
  },
};

export const workersStopped: Fault = {
  name: 'workers-stopped',
  does: 'SIGSTOP of both workers',
  seconds: [20, 3],
  isBounded: true,
  inject: ({ arena: { workers } }) => stop('both workers', workers),
};

export const temporalStopped: Fault = {
  name: 'temporal-stopped',
  does: 'SIGSTOP of the Temporal server',
  seconds: [30, 3],
  isBounded: true,
  inject: ({ arena: { temporal } }) => stop('temporal', [temporal]),
};

export const postgresStopped: Fault = {
  name: 'postgres-stopped',
  does: 'SIGSTOP of all Postgres processes',
  seconds: [8, 2],
  isShort: true,
  inject: ({ arena: { postgres } }) => stop('postgres', [postgres]),
};
