import type { WorkflowHandle } from '@temporalio/client';
import pLimit from 'p-limit';
import { conversationWorkflowId, shutdown } from '../../../workflows/conversation/messages.ts';
import { resetRun } from '../../harness/reset-run.ts';
import type { Fault, Stage } from '../fault.ts';

const AT_ONCE = 8;

type Blow = (stage: Stage, handle: WorkflowHandle) => Promise<unknown>;

/** Deals a blow to the runs of all conversations at once. */
function everyRun(name: string, does: string, blow: Blow, more: Partial<Fault> = {}): Fault {
  return {
    name,
    does,
    seconds: [3, 1],
    ...more,
    inject: async (stage) => {
      let hit = 0;
      await pLimit(AT_ONCE).map(stage.conversations, async (conversation) => {
        const handle = stage.arena.temporalClient.workflow.getHandle(conversationWorkflowId(conversation));
        // A conversation without a run has no target.
        await blow(stage, handle).then(
          () => hit++,
          () => undefined,
        );
      });
      return { what: `${hit} runs`, heal: () => undefined };
    },
  };
}

export const runsTerminated = everyRun(
  'runs-terminated',
  'the runs of all conversations are terminated at once',
  (_, handle) => handle.terminate('chaos'),
  { isShort: true },
);

export const runsReset = everyRun(
  'runs-reset',
  'the runs of all conversations are reset to a task of their past at once',
  ({ arena, below }, { workflowId }) =>
    resetRun(arena.temporalClient, workflowId, (completed) => completed[below(completed.length)]),
  { isShort: true },
);

export const runsDeleted = everyRun(
  'runs-deleted',
  'the runs of all conversations are deleted at once, with their histories',
  ({ arena }, { workflowId }) =>
    arena.temporalClient.workflowService.deleteWorkflowExecution({
      namespace: 'default',
      workflowExecution: { workflowId },
    }),
);

export const runsEnded = everyRun(
  'runs-ended',
  'all conversations complete, as when they are idle',
  (_, handle) => handle.signal(shutdown, { reason: 'chaos' }),
  { isShort: true },
);
