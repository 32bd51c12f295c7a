import type { Response } from 'express';
import { waitedFor } from '../../dispatch/waited-for.ts';
import { parseConversationId } from '../../domain/ids.ts';
import { contextOf } from './context.ts';

/** What an operator has chosen for a conversation. */
export type ModeOf = (conversation: string) => string;

/**
 * What each line about a request that was not served names: the conversation, the operation, the mode and the path, and what it
 * waited for. No user: with the id of an operation that would say who sent a message.
 */
export function failureFacts(res: Response, modeOf: ModeOf): Record<string, string> {
  const { correlationId, problem, pathId, operation, waitsFor, progress } = contextOf(res);
  const command = progress();
  const conversation = command?.conversation ?? (pathId === undefined ? undefined : parseConversationId(pathId));
  const mode = command?.mode ?? (conversation === undefined ? undefined : modeOf(conversation));
  return {
    correlationId,
    ...(problem === undefined ? {} : { code: problem.code }),
    ...(conversation === undefined ? {} : { conversation }),
    // A request without a command is an operation itself.
    operation: command?.operation ?? operation ?? correlationId,
    ...(mode === undefined ? {} : { mode }),
    path: command?.path ?? 'none',
    waitedFor:
      waitedFor(problem) ?? command?.waitsFor ?? waitsFor ?? (problem?.code === 'internal' ? 'nothing' : 'postgres'),
  };
}
