import { hash } from 'node:crypto';
import type { MessageCommand } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted } from '../../domain/outcome.ts';
import { type CheckedMessage, checkMessage } from '../../mls/framing.ts';
import type { ConversationCache, ConversationRef } from './conversation-cache.ts';
import type { Operations, Origin } from './operations.ts';
import type { CheckProposer } from './proposer.ts';

/** A message as a request brings it. */
export interface MessageInput {
  readonly id: string;
  readonly ciphertext: Buffer;
  readonly epoch?: number | undefined;
}

/** The result of one message: its place in the log, or the problem. */
export type SendResult = Accepted<'message'> | AppError;

/** Has messages decided in their order, each by itself. @throws AppError `not-found` when the caller may see no conversation */
export type SendMessages = (
  conversation: ConversationId,
  messages: readonly MessageInput[],
  origin: Origin,
) => Promise<SendResult[]>;

/** A message whose bytes were checked: its command, or why it is refused before a decision. */
type CheckedCommand =
  | { readonly isGood: true; readonly command: MessageCommand; readonly checked: CheckedMessage }
  | { readonly isGood: false; readonly command: MessageCommand | undefined; readonly refusal: unknown };

export function makeSendMessages({
  conversations,
  operations,
  checkProposer,
}: {
  readonly conversations: ConversationCache;
  readonly operations: Operations;
  readonly checkProposer: CheckProposer;
}): SendMessages {
  const sendOne = (id: ConversationId, message: CheckedCommand, origin: Origin): Promise<Accepted<'message'>> =>
    message.isGood
      ? operations.decide(id, message.command, origin)
      : operations.answerOrRefuse<MessageCommand>(id, message.command, origin, message.refusal);

  const withProposer = async (message: CheckedCommand, id: ConversationId): Promise<CheckedCommand> => {
    if (!message.isGood) return message;
    const { command, checked } = message;
    const { framing, proposal } = checked;
    if (proposal === undefined) return message;
    try {
      await checkProposer(id, { framing, proposal }, command.actor);
      return message;
    } catch (error) {
      return { isGood: false, command, refusal: error };
    }
  };

  return async (id, messages, origin) => {
    const found = conversations.find(id, origin.caller.user);
    const conversation = found instanceof Promise ? await found : found;
    let checked = messages.map((message) => check(conversation, message, origin));
    if (checked.some((message) => message.isGood && message.checked.proposal !== undefined)) {
      checked = await Promise.all(checked.map((message) => withProposer(message, id)));
    }
    // All enter the queue in this same step, in their order.
    const settled = await Promise.allSettled(checked.map((message) => sendOne(id, message, origin)));
    const results = settled.map(resultOf);
    // The form of the answer must not show whether there is a conversation.
    if (results.every((result) => result instanceof AppError && result.code === 'not-found')) {
      throw new AppError('not-found');
    }
    return results;
  };
}

function check(
  conversation: ConversationRef,
  { id, ciphertext, epoch }: MessageInput,
  { caller }: Origin,
): CheckedCommand {
  try {
    const checked = checkMessage(conversation, ciphertext, epoch);
    const sha256 = hash('sha256', ciphertext, 'hex');
    const command = {
      kind: 'message',
      id,
      actor: caller.user,
      sha256,
      ...checked.framing,
      bytes: { ciphertext },
    } as const;
    return { isGood: true, command, checked };
  } catch (error) {
    return { isGood: false, command: undefined, refusal: error };
  }
}

function resultOf(settled: PromiseSettledResult<Accepted<'message'>>): SendResult {
  if (settled.status === 'fulfilled') return settled.value;
  if (settled.reason instanceof AppError) return settled.reason;
  throw settled.reason;
}
