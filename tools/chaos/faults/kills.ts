import type { Member } from '../arena/fleet.ts';
import { type Fault, type Injected, pick } from '../fault.ts';

async function kill(members: readonly Member[]): Promise<Injected> {
  await Promise.all(members.map((member) => member.kill()));
  return {
    what: members.map(({ name }) => name).join(', '),
    heal: async () => {
      await Promise.all(members.map((member) => member.start()));
    },
  };
}

export const apiKilled: Fault = {
  name: 'api-killed',
  does: 'SIGKILL of one API process',
  seconds: [5, 1],
  breaksClients: true,
  isShort: true,
  inject: (stage) => kill([pick(stage, stage.arena.apis)]),
};

export const workerKilled: Fault = {
  name: 'worker-killed',
  does: 'SIGKILL of one worker',
  seconds: [10, 1],
  inject: (stage) => kill([pick(stage, stage.arena.workers)]),
};

export const workersKilled: Fault = {
  name: 'workers-killed',
  does: 'SIGKILL of both workers at once',
  seconds: [15, 2],
  isBounded: true,
  isShort: true,
  inject: ({ arena }) => kill(arena.workers),
};

export const temporalKilled: Fault = {
  name: 'temporal-killed',
  does: 'SIGKILL of the Temporal server, which stays away',
  seconds: [30, 4],
  isBounded: true,
  isShort: true,
  inject: async ({ arena: { temporal } }) => {
    await temporal.kill();
    return { what: 'temporal', heal: temporal.start };
  },
};

export const postgresCrashed: Fault = {
  name: 'postgres-crashed',
  does: 'SIGKILL of all Postgres processes at once; it recovers from its log',
  seconds: [3, 1],
  isShort: true,
  inject: async ({ arena: { postgres } }) => {
    await postgres.kill();
    return { what: 'postgres', heal: postgres.start };
  },
};
