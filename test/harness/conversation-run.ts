import type { ConversationFacts } from '../../domain/decision.ts';
import {
  type ConversationInput,
  type ConversationSettings,
  DEFAULT_SETTINGS,
} from '../../workflows/conversation/messages.ts';
import { ConversationRun } from '../../workflows/conversation/run.ts';

/** The state of a run without its workflow. Only for tests with the fake workflow module. */
export function someRun(settings: Partial<ConversationSettings> = {}): {
  run: ConversationRun;
  input: ConversationInput;
} {
  const input = { conversation: 'AAAA', settings: { ...DEFAULT_SETTINGS, ...settings } };
  return { run: new ConversationRun(input), input };
}

/** Facts of a conversation as a decision gives them. */
export function someFacts(change: Partial<ConversationFacts> = {}): ConversationFacts {
  return { found: true, protocol: 'mls', epoch: 3, lastSeq: 17, memberCount: 5, ...change };
}
