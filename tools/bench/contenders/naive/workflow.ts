import {
  allHandlersFinished,
  condition,
  continueAsNew,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { NaiveActivities, NaiveInput } from './messages.ts';
import { send } from './messages.ts';

const activities = proxyActivities<NaiveActivities>({
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '100 milliseconds' },
});

/** Workflow of the naive contender: an entity workflow as in tutorials. Each update runs one activity. */
export async function naiveConversation(input: NaiveInput): Promise<void> {
  setHandler(send, (message) => activities.store(message));
  await condition(() => workflowInfo().continueAsNewSuggested);
  await condition(allHandlersFinished);
  await continueAsNew<typeof naiveConversation>(input);
}
