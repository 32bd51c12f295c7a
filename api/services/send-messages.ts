import { hash } from 'node:crypto';
import type { MessageCommand } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted } from '../../domain/outcome.ts';
import { type Position, statedPosition } from '../../domain/position.ts';
import type { PushLevel } from '../../domain/push.ts';
import { type CheckedMessage, checkMessage } from '../../mls/framing.ts';
import { packageOfJoinRequest } from '../../mls/join-request.ts';
import type { ConversationView } from '../../store/conversation/conversations.ts';
import type { ConversationCache, ConversationRef } from './conversation-cache.ts';
import { type Operations, type Origin, ownerOf } from './operations.ts';
import type { AskToJoin } from './join-request.ts';
import type { CheckProposer } from './proposer.ts';

/** A message from a request. */
export interface MessageInput {
  readonly id: string;
  readonly ciphertext: Buffer;
  readonly epoch?: number | undefined;
  readonly push: PushLevel;
  /** Lower-case hex. */
  readonly deleteHash?: string | undefined;
  /** How far the sender has read. */
  readonly position?: Position | undefined;
}

/** The result of one message: its position in the log, or the problem. */
export type SendResult = Accepted<'message' | 'join-request'> | AppError;

/** Submits messages in their order, each on its own. @throws AppError `not-found` if the caller may not see the conversation */
export type SendMessages = (
  conversation: ConversationId,
  messages: readonly MessageInput[],
  origin: Origin,
) => Promise<SendResult[]>;

/** A message after the check of its bytes: its command, or the reason to refuse it before a decision. */
type CheckedCommand =
  | { readonly isGood: true; readonly command: MessageCommand; readonly checked: CheckedMessage }
  | { readonly isGood: false; readonly command: MessageCommand | undefined; readonly refusal: unknown };

export function makeSendMessages({
  conversations,
  operations,
  checkProposer,
  askToJoin,
}: {
  readonly conversations: ConversationCache;
  readonly operations: Operations;
  readonly checkProposer: CheckProposer;
  readonly askToJoin: AskToJoin;
}): SendMessages {
  const sendOne = (
    id: ConversationId,
    message: CheckedCommand,
    origin: Origin,
    view: () => Promise<ConversationView>,
  ): Promise<Accepted<'message' | 'join-request'>> => {
    if (!message.isGood) {
      return operations.answerOrRefuse<MessageCommand>(id, message.command, origin, message.refusal, view);
    }
    const { command, checked } = message;
    const asked = checked.proposal === undefined ? undefined : packageOfJoinRequest(checked.proposal);
    return asked === undefined ? operations.decide(id, command, origin) : askToJoin(id, command, asked, origin);
  };

  const withProposer = async (message: CheckedCommand, id: ConversationId, origin: Origin): Promise<CheckedCommand> => {
    if (!message.isGood) return message;
    const { command, checked } = message;
    const { framing, proposal } = checked;
    if (proposal === undefined) return message;
    try {
      const isVerified = await checkProposer(id, { framing, proposal }, ownerOf(origin));
      return isVerified === undefined ? message : { ...message, command: { ...command, isVerified } };
    } catch (error) {
      return { isGood: false, command, refusal: error };
    }
  };

  return async (id, messages, origin) => {
    const found = conversations.findToAsk(id, origin.caller.user);
    const conversation = found instanceof Promise ? await found : found;
    let checked = messages.map((message) => check(conversation, message, origin));
    if (checked.some((message) => message.isGood && message.checked.proposal !== undefined)) {
      checked = await Promise.all(checked.map((message) => withProposer(message, id, origin)));
    }
    let view: Promise<ConversationView> | undefined;
    const viewOnce = (): Promise<ConversationView> => (view ??= conversations.view(id, origin.caller.user));
    // All messages enter the queue in this one step, so they keep their order.
    const settled = await Promise.allSettled(checked.map((message) => sendOne(id, message, origin, viewOnce)));
    const results = settled.map(resultOf);
    // The answer must not show whether the conversation exists. So a list is not answered 200 here, but 404.
    if (results.every((result) => result instanceof AppError && result.code === 'not-found')) {
      throw new AppError('not-found');
    }
    return results;
  };
}

function check(
  conversation: ConversationRef,
  { id, ciphertext, epoch, push, deleteHash, position }: MessageInput,
  { caller }: Origin,
): CheckedCommand {
  try {
    const checked = checkMessage(conversation, ciphertext, epoch);
    if (deleteHash !== undefined && checked.framing.type === 'proposal') {
      throw new AppError('malformed', 'A proposal has no deleteHash: the group needs its proposals');
    }
    const sha256 = hash('sha256', ciphertext, 'hex');
    const command = {
      kind: 'message',
      id,
      actor: caller.user,
      sha256,
      ...checked.framing,
      ...(push === 'normal' || checked.framing.type === 'proposal' ? {} : { push }),
      ...(deleteHash === undefined ? {} : { deleteHash }),
      ...statedPosition(position),
      bytes: { ciphertext },
    } as const;
    return { isGood: true, command, checked };
  } catch (error) {
    return { isGood: false, command: undefined, refusal: error };
  }
}

function resultOf(settled: PromiseSettledResult<Accepted<'message' | 'join-request'>>): SendResult {
  if (settled.status === 'fulfilled') return settled.value;
  if (settled.reason instanceof AppError) return settled.reason;
  throw settled.reason;
}
