import { WorkflowNotFoundError } from '@temporalio/client';
import { conversationWorkflowId } from '../../workflows/conversation/messages.ts';
import { describe, sleep } from '../load/closed-loop.ts';
import { below } from '../load/random.ts';
import type { StressService } from './stress-service.ts';

export interface Disturbed {
  readonly kills: number;
  readonly terminations: number;
  readonly failures: readonly string[];
}

/** Time without trouble at the start, so that there is something to disturb. */
const FIRST_MS = 1000;
/** Mean times between two kills (after the new worker is ready) and two terminations. */
const BETWEEN_KILLS_MS = 1500;
const BETWEEN_TERMINATIONS_MS = 150;

/** Kills workers (-9) and terminates workflows at random times, until `stop` is called. */
export function startDisturbing(
  service: StressService,
  conversations: readonly string[],
  random: () => number,
): { readonly stop: () => void; readonly ended: Promise<Disturbed> } {
  const state = { isStopped: false };
  const failures: string[] = [];
  const repeat = async (meanMs: number, once: () => Promise<boolean>): Promise<number> => {
    let count = 0;
    await sleep(FIRST_MS);
    while (!state.isStopped) {
      try {
        if (await once()) count++;
      } catch (error) {
        failures.push(describe(error));
      }
      await sleep(meanMs * 2 * random());
    }
    return count;
  };
  const kill = async (): Promise<boolean> => {
    await service.replace('worker', below(random, service.workers.length));
    return true;
  };
  const terminate = async (): Promise<boolean> => {
    const id = conversationWorkflowId(conversations[below(random, conversations.length)] ?? '');
    try {
      await service.temporal.workflow.getHandle(id).terminate('stress');
      return true;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      throw error;
    }
  };
  const ended = Promise.all([repeat(BETWEEN_KILLS_MS, kill), repeat(BETWEEN_TERMINATIONS_MS, terminate)]);
  return {
    stop: () => {
      state.isStopped = true;
    },
    ended: ended.then(([kills, terminations]) => ({ kills, terminations, failures })),
  };
}
