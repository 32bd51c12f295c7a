import { type Fault, type Stage, everybody } from '../fault.ts';

async function rollOut(stage: Stage): Promise<void> {
  for (const member of everybody(stage)) await member.deploy();
}

export const rollingDeploy: Fault = {
  name: 'rolling-deploy',
  does: 'every API process and worker is replaced, one after another, with SIGTERM for the old one',
  seconds: [0, 0],
  breaksClients: true,
  inject: async (stage) => {
    await rollOut(stage);
    return { what: '4 processes', heal: () => undefined };
  },
};

/** Below what an API process or a worker needs under load, above what it needs to start. */
const HEAP_MB = 96;

export const lowMemory: Fault = {
  name: 'low-memory',
  does: `one API process and one worker have a heap of ${HEAP_MB} MB`,
  seconds: [20, 5],
  breaksClients: true,
  inject: async ({ arena: { apis, workers }, below }) => {
    const members = [apis, workers].map((all) => all[below(all.length)]).filter((member) => member !== undefined);
    const env = { NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}` };
    await Promise.all(members.map((member) => member.deploy({ env })));
    return {
      what: members.map(({ name }) => name).join(', '),
      heal: async () => {
        await Promise.all(members.map((member) => member.deploy()));
      },
    };
  },
};

/** Continue-as-new happens after some thousand operations; here after so many. */
const CONTINUE_AFTER = 5;

export const continueAsNew: Fault = {
  name: 'continue-as-new',
  does: `every conversation continues as new after ${CONTINUE_AFTER} operations, and completes when it is idle for a second`,
  seconds: [15, 4],
  breaksClients: true,
  inject: async ({ arena: { apis, workers } }) => {
    // The settings of a run come from the API process that starts it.
    const env = { CONTINUE_AS_NEW_AFTER: String(CONTINUE_AFTER), IDLE_TIMEOUT: '1s' };
    for (const member of [...apis, ...workers]) await member.deploy({ env });
    return {
      what: '4 processes',
      heal: async () => {
        for (const member of [...apis, ...workers]) await member.deploy();
      },
    };
  },
};
