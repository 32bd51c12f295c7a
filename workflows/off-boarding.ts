import {
  continueAsNew,
  isCancellation,
  proxyLocalActivities,
  setCurrentDetails,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { OffBoardingActivities, OffBoardingStep } from '../activities/off-boarding.ts';

const activities = proxyLocalActivities<OffBoardingActivities>({
  // For all tries together. Why there is no start-to-close timeout: see the conversation's activities.
  scheduleToCloseTimeout: '2 minutes',
  retry: { maximumAttempts: 3 },
  summary: 'work off conversations',
});

/** Pause after a step that failed, for example because Postgres is away. */
const RETRY_MS = 10_000;
/** Events of one run. A step has about eight. */
const MAX_EVENTS = 4000;

/**
 * Works off an off-boarding: removes a user from all its conversations, then waits until members have committed that; or undoes it. How far
 * it has come stands in Postgres: a run that is lost loses nothing, and the sweep starts another one.
 * @param id of the off-boarding; user ids stand in no history
 */
export async function offBoarding(id: number): Promise<void> {
  for (;;) {
    let pauseMs = RETRY_MS;
    try {
      const step = await activities.offBoardingStep({ id });
      if (step === undefined) return;
      show(step);
      if (step.isDone) return;
      ({ pauseMs } = step);
    } catch (error) {
      if (isCancellation(error)) throw error;
      setCurrentDetails('the newest step failed, and is tried again');
    }
    if (pauseMs > 0) await sleep(pauseMs, { summary: 'until the next step' });
    const { continueAsNewSuggested, historyLength } = workflowInfo();
    if (continueAsNewSuggested || historyLength > MAX_EVENTS) await continueAsNew<typeof offBoarding>(id);
  }
}

/** For people, in the Web UI. */
function show({ isDone, isUndone, total, done, waiting, blocked }: OffBoardingStep): void {
  const state = isDone ? 'finished' : blocked > 0 ? `${blocked} conversations are locked` : 'at work';
  const progress = isUndone
    ? `${waiting} conversations to restore`
    : `${done} of ${total} groups without the leaves · ${waiting} wait for a commit`;
  setCurrentDetails(`${isUndone ? '**undo** · ' : ''}${progress} · ${state}`);
}
