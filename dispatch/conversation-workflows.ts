import {
  type Client,
  WithStartWorkflowOperation,
  WorkflowContinuedAsNewError,
  WorkflowFailedError,
  type WorkflowHandle,
  WorkflowNotFoundError,
} from '@temporalio/client';
import { LRUCache } from 'lru-cache';
import type { AttributedFacts } from '../domain/search-attributes.ts';
import type { StoredIncrement } from '../domain/staged-command.ts';
import { type SearchAttributes, isUnknownName } from '../process/search-attributes.ts';
import {
  type ConversationSettings,
  type ConversationUpdate,
  type UpdateInput,
  type UpdateResult,
  conversationWorkflowId,
  incrementUnread,
  refresh,
  shutdown,
} from '../workflows/conversation/messages.ts';
import { type ConversationStart, conversationStart } from '../workflows/conversation/start.ts';
import { CONVERSATION_WORKFLOW } from '../workflows/names.ts';
import type { ConversationPath } from './executor.ts';
import { pause } from './pause.ts';

/** Conversations whose workflow is believed to run; their updates go without a start. Some 200 bytes each. */
const KNOWN_RUNNING = 50_000;
/** What starts know of a conversation may be this old: its run looks for itself. */
const KNOWN_FACTS = { max: 10_000, ttl: 60_000 };
/** Nobody waits longer for facts that only people read. */
const FACTS_MS = 200;

export interface ConversationWorkflowsDeps {
  readonly client: Client;
  readonly taskQueue: string;
  readonly settings: ConversationSettings;
  /** Whether the namespace has the search attributes. @default it has not */
  readonly attributes?: Pick<SearchAttributes, 'registered' | 'refused'>;
  /** What a start shows of a conversation; `undefined` = there is no such conversation. @default nothing is known */
  readonly factsOf?: (conversation: string) => Promise<AttributedFacts | undefined>;
  /** What an operator has chosen for a conversation. @default not told */
  readonly modeOf?: (conversation: string) => ConversationPath;
}

/**
 * The only code that starts, updates, signals or ends workflows of conversations. Errors are those of the Temporal client;
 * `temporal-errors.ts` says what each means.
 */
export interface ConversationWorkflows {
  /** Starts the workflow unless it runs. A start is enough to make it load its due times. */
  readonly start: (conversation: string) => Promise<void>;
  /**
   * Sends an update and waits for its result; starts the workflow unless it is believed to run.
   * @param signal ends the wait, not the update
   */
  readonly update: (
    conversation: string,
    update: ConversationUpdate,
    updateId: string,
    input: UpdateInput,
    deadline: number,
    signal?: AbortSignal,
  ) => Promise<UpdateResult>;
  /** Whether the workflow is believed to run. */
  readonly isRunning: (conversation: string) => boolean;
  /** The workflow has ended: the next update starts it again. */
  readonly forget: (conversation: string) => void;
  /** Signals a stored increment, and starts the workflow unless it runs. */
  readonly increment: (conversation: string, increment: StoredIncrement, deadline: number) => Promise<void>;
  /** Has the workflow look into Postgres for what is due, and starts it unless it runs. */
  readonly refresh: (conversation: string) => Promise<void>;
  /** Id of the run, if one runs. */
  readonly runOf: (conversation: string) => Promise<string | undefined>;
  /** Asks the run to finish its queue and complete. @returns its run id, if one runs */
  readonly shutDown: (conversation: string, reason: string) => Promise<string | undefined>;
  /** Waits until a run has ended, however it ends. */
  readonly ended: (conversation: string, runId: string) => Promise<void>;
  /** Ends a run at once. The server does this alone: no worker is asked. Without effect if the run has ended. */
  readonly terminate: (conversation: string, runId: string, reason: string) => Promise<void>;
}

export function makeConversationWorkflows(deps: ConversationWorkflowsDeps): ConversationWorkflows {
  const { client } = deps;
  const running = new LRUCache<string, true>({ max: KNOWN_RUNNING });
  const withStart = makeStarter(deps);
  const handleOf = (conversation: string, runId?: string): WorkflowHandle =>
    client.workflow.getHandle(conversationWorkflowId(conversation), runId, { followRuns: false });

  const runOf = async (conversation: string): Promise<string | undefined> => {
    try {
      const { status, runId } = await handleOf(conversation).describe();
      return status.name === 'RUNNING' ? runId : undefined;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  };

  const updateWithStart = async (
    conversation: string,
    update: ConversationUpdate,
    updateId: string,
    input: UpdateInput,
  ): Promise<UpdateResult> => {
    const result = await withStart(conversation, (start) => {
      const startWorkflowOperation = new WithStartWorkflowOperation(CONVERSATION_WORKFLOW, {
        ...start,
        workflowIdConflictPolicy: 'USE_EXISTING',
      });
      return client.workflow.executeUpdateWithStart(update, { args: [input], updateId, startWorkflowOperation });
    });
    running.set(conversation, true);
    return result;
  };

  return {
    start: async (conversation) => {
      await withStart(conversation, (start) =>
        client.workflow.start(CONVERSATION_WORKFLOW, { ...start, workflowIdConflictPolicy: 'USE_EXISTING' }),
      );
    },
    update: (conversation, update, updateId, input, deadline, signal) => {
      const send = (): Promise<UpdateResult> =>
        running.has(conversation)
          ? handleOf(conversation).executeUpdate(update, { args: [input], updateId })
          : updateWithStart(conversation, update, updateId, input);
      return client.withDeadline(deadline, () =>
        signal === undefined ? send() : client.withAbortSignal(signal, send),
      );
    },
    isRunning: (conversation) => running.has(conversation),
    forget: (conversation) => void running.delete(conversation),
    increment: async (conversation, increment, deadline) => {
      await client.withDeadline(deadline, () =>
        withStart(conversation, (start) =>
          client.workflow.signalWithStart(CONVERSATION_WORKFLOW, {
            ...start,
            signal: incrementUnread,
            signalArgs: [increment],
          }),
        ),
      );
    },
    refresh: async (conversation) => {
      await withStart(conversation, (start) =>
        client.workflow.signalWithStart(CONVERSATION_WORKFLOW, { ...start, signal: refresh }),
      );
    },
    runOf,
    shutDown: async (conversation, reason) => {
      const runId = await runOf(conversation);
      if (runId === undefined) return undefined;
      await handleOf(conversation, runId).signal(shutdown, { reason }).catch(ignoreEnd);
      return runId;
    },
    ended: async (conversation, runId) => {
      await handleOf(conversation, runId).result().catch(ignoreEnd);
    },
    terminate: async (conversation, runId, reason) => {
      await handleOf(conversation, runId).terminate(reason).catch(ignoreEnd);
    },
  };
}

/** Makes calls that may start a run, with what its list entry shows. */
function makeStarter(
  deps: ConversationWorkflowsDeps,
): <T>(conversation: string, call: (start: ConversationStart) => Promise<T>) => Promise<T> {
  const {
    settings,
    taskQueue,
    attributes,
    factsOf = (): Promise<undefined> => Promise.resolve(undefined),
    modeOf,
  } = deps;
  const known = new LRUCache<string, AttributedFacts>(KNOWN_FACTS);
  const look = async (conversation: string): Promise<AttributedFacts | undefined> => {
    const facts = await factsOf(conversation).catch(() => undefined);
    if (facts !== undefined) known.set(conversation, facts);
    return facts;
  };
  return async (conversation, call) => {
    const facts = known.get(conversation) ?? (await Promise.race([look(conversation), nothingAfter(FACTS_MS)]));
    const startWith = (searchAttributes: boolean): ConversationStart => {
      const mode = modeOf?.(conversation);
      const chosen = {
        ...settings,
        ...(searchAttributes ? { searchAttributes } : {}),
        ...(mode === undefined ? {} : { mode }),
      };
      return conversationStart(conversation, chosen, taskQueue, { facts });
    };
    if (attributes?.registered() !== true) return call(startWith(false));
    try {
      return await call(startWith(true));
    } catch (error) {
      // They were removed, or another Temporal server does not know them yet.
      if (!isUnknownName(error)) throw error;
      attributes.refused();
      return call(startWith(false));
    }
  };
}

async function nothingAfter(ms: number): Promise<undefined> {
  await pause(ms);
}

/** However a run ended, it has ended. */
function ignoreEnd(error: unknown): void {
  const ended = [WorkflowNotFoundError, WorkflowFailedError, WorkflowContinuedAsNewError];
  if (!ended.some((kind) => error instanceof kind)) throw error;
}
