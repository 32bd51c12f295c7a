import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { EXTRA_TIMER } from '../../chaos/faults/builds.ts';
import { otherBuild } from '../../harness/other-build.ts';
import { conversationWorkflowId, refresh } from '../../../workflows/conversation/messages.ts';
import type { Drill } from './drill.ts';

// Updates in flight would keep runs from failing: the server refuses the end of a run together with the answer of an update that the
// replay did not see. So nothing goes to the workflows but the signal of the sweep.
const unreplayable: Drill = {
  name: 'other-build',
  does: 'both workers are replaced by a build whose workflow has an extra timer: it cannot replay the histories of the other',
  alerts: ['ParleyWorkflowRunsFailed'],
  inject: async ({ arena, conversations, people }) => {
    const root = otherBuild(mkdtempSync(path.join(arena.folder, 'build-')), { workflow: EXTRA_TIMER });
    const { admin } = people.patiently('operator');
    await admin.setPath({ path: 'direct', rollout: 100 });
    for (const worker of arena.workers) await worker.deploy({ root });
    const { workflow } = arena.temporalClient;
    await Promise.allSettled(conversations.map((id) => workflow.getHandle(conversationWorkflowId(id)).signal(refresh)));
    return async () => {
      for (const worker of arena.workers) await worker.deploy();
      await admin.setPath({ path: arena.path, rollout: 100 });
    };
  },
};

const brokenBuild: Drill = {
  name: 'broken-build',
  does: 'one of two workers gets a build whose workflow throws an error that fails its task, and not its run',
  alerts: ['ParleyWorkflowTasksFail', 'ParleyConversationsWedged'],
  inject: async ({ arena }) => {
    const throws = { workflow: "throw new TypeError('planted');" };
    const root = otherBuild(mkdtempSync(path.join(arena.folder, 'build-')), throws);
    await arena.workers[0]?.deploy({ root });
    return async () => {
      await arena.workers[0]?.deploy();
    };
  },
};

export const BUILD_DRILLS: readonly Drill[] = [unreplayable, brokenBuild];
