import { type SearchAttributePair, TypedSearchAttributes } from '@temporalio/common';
import { vi } from 'vitest';
import type { ConversationActivities } from '../../activities/conversation.ts';

/**
 * The parts of `@temporalio/workflow` that the state of a conversation uses, as plain functions, so that its rules can be
 * tested without a server. Time is vitest's fake time. A test file puts it in place:
 * `vi.mock('@temporalio/workflow', async (original) => ({ ...(await original()), ...(await import('..')).workflowModule }))`
 */

/** A handler and what it was registered with. */
export interface Registered {
  readonly handler: (input: unknown) => unknown;
  readonly options: { readonly description?: string; readonly validator?: (input: unknown) => void };
}

/** What the run sees of its surroundings, and what it told them. */
export const surroundings = {
  info: newInfo(),
  isPatched: true,
  handlersFinished: true,
  details: [] as string[],
  /** Changes of search attributes, one for each event. */
  upserts: [] as Record<string, unknown>[],
  depths: [] as number[],
  logged: [] as { level: string; message: string; fields: unknown }[],
  handlers: new Map<string, Registered>(),
  /** The local activities. A test sets what they answer. */
  activities: {
    apply: vi.fn<ConversationActivities['apply']>(),
    load: vi.fn<ConversationActivities['load']>(),
    retain: vi.fn<ConversationActivities['retain']>(),
  },
};

/** Sets everything back. Call it before each test. */
export function resetSurroundings(): void {
  vi.useFakeTimers({ now: 1_000_000 });
  surroundings.info = newInfo();
  surroundings.isPatched = true;
  surroundings.handlersFinished = true;
  for (const list of [surroundings.details, surroundings.depths, surroundings.logged, surroundings.upserts])
    list.length = 0;
  surroundings.handlers.clear();
  for (const activity of Object.values(surroundings.activities)) activity.mockReset();
}

function newInfo(attributes: SearchAttributePair[] = []): {
  historyLength: number;
  historySize: number;
  continueAsNewSuggested: boolean;
  typedSearchAttributes: TypedSearchAttributes;
} {
  return {
    historyLength: 0,
    historySize: 0,
    continueAsNewSuggested: false,
    typedSearchAttributes: new TypedSearchAttributes(attributes),
  };
}

/** Takes fake time only. */
function sleep(ms: number): Promise<void> {
  let wake = (): void => undefined;
  const awake = new Promise<void>((resolve) => (wake = resolve));
  setTimeout(() => wake(), ms);
  return awake;
}

/** Fake time must move for a condition to be looked at again, as a workflow task must come. */
async function condition(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(1);
}

const logTo =
  (level: string) =>
  (message: string, fields: unknown): void =>
    void surroundings.logged.push({ level, message, fields });

export const workflowModule: Readonly<Record<string, unknown>> = {
  CancellationScope: { nonCancellable: <T>(run: () => T): T => run() },
  allHandlersFinished: () => surroundings.handlersFinished,
  condition,
  log: { debug: logTo('debug'), error: logTo('error') },
  patched: () => surroundings.isPatched,
  proxyLocalActivities: () => surroundings.activities,
  proxySinks: () => ({ conversation: { mailbox: (depth: number) => void surroundings.depths.push(depth) } }),
  setCurrentDetails: (text: string) => void surroundings.details.push(text),
  setHandler: (definition: { name: string }, handler: Registered['handler'], options: Registered['options']) =>
    void surroundings.handlers.set(definition.name, { handler, options }),
  sleep,
  upsertSearchAttributes: (pairs: readonly SearchAttributePair[]) =>
    void surroundings.upserts.push(Object.fromEntries(pairs.map(({ key, value }) => [key.name, value]))),
  workflowInfo: () => surroundings.info,
};
