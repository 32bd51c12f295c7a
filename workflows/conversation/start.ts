import { type SearchAttributePair, defineSearchAttributeKey } from '@temporalio/common';
import { type AttributedFacts, SEARCH_ATTRIBUTES, attributesOf } from '../../domain/search-attributes.ts';
import { type ConversationInput, type ConversationSettings, conversationWorkflowId } from './messages.ts';

/** Start options of a conversation workflow. The API, the sweep and the tests use the same ones. */
export interface ConversationStart {
  readonly workflowId: string;
  readonly taskQueue: string;
  readonly args: [ConversationInput];
  /**
   * After this time another worker takes the task of a killed worker. The default of 10 s would use up the whole deadline
   * of a request.
   */
  readonly workflowTaskTimeout: '3 seconds';
  readonly staticSummary: string;
  readonly typedSearchAttributes?: SearchAttributePair[];
}

/** What whoever starts a run knows of the conversation. The run looks for itself, so it may be out of date, or absent. */
export interface StartKnowledge {
  readonly facts?: AttributedFacts | undefined;
  /** @default by the protocol */
  readonly summary?: string;
}

/** @param taskQueue the task queue that the workers poll */
export function conversationStart(
  conversation: string,
  settings: ConversationSettings,
  taskQueue: string,
  { facts, summary }: StartKnowledge = {},
): ConversationStart {
  const hasAttributes = settings.searchAttributes === true && facts !== undefined;
  return {
    workflowId: conversationWorkflowId(conversation),
    taskQueue,
    args: [{ conversation, settings }],
    workflowTaskTimeout: '3 seconds',
    staticSummary: summary ?? (facts === undefined ? 'conversation' : `${facts.protocol} conversation`),
    ...(hasAttributes ? { typedSearchAttributes: searchAttributes(facts) } : {}),
  };
}

function searchAttributes(facts: AttributedFacts): SearchAttributePair[] {
  const { protocol, state, members } = attributesOf(facts);
  return [
    { key: defineSearchAttributeKey(SEARCH_ATTRIBUTES.protocol, 'KEYWORD'), value: protocol },
    { key: defineSearchAttributeKey(SEARCH_ATTRIBUTES.state, 'KEYWORD'), value: state },
    { key: defineSearchAttributeKey(SEARCH_ATTRIBUTES.members, 'KEYWORD'), value: members },
  ];
}
