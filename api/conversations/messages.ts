import { hash } from 'node:crypto';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted, Duplicate, MessageOperation } from '../../domain/operation.ts';
import { checkMessage } from './frames.ts';
import type { Known, KnownConversations } from './known.ts';
import type { Operate, Origin } from './operate.ts';

/** A message as a request brings it. */
export interface IncomingMessage {
  readonly id: string;
  readonly ciphertext: Buffer;
  readonly epoch?: number | undefined;
}

/** What became of one message: its place in the log, or the problem. */
export type Sent =
  { readonly seq: number; readonly epoch: number; readonly status: 'accepted' | 'duplicate' } | AppError;

/** Has messages decided in their order, each by itself. @throws AppError `not-found` when the caller may not see any */
export type SendMessages = (
  conversation: ConversationId,
  messages: readonly IncomingMessage[],
  origin: Origin,
) => Promise<Sent[]>;

export function makeSendMessages(known: KnownConversations, operate: Operate): SendMessages {
  const sendOne = (conversation: Known, message: IncomingMessage, origin: Origin): Promise<Accepted | Duplicate> => {
    let operation: MessageOperation;
    try {
      operation = messageOperation(conversation, message, origin);
    } catch (error) {
      return operate.refuse(conversation.id, undefined, origin, error);
    }
    return operate.apply(conversation.id, operation, origin, { ciphertext: message.ciphertext });
  };
  return async (id, messages, origin) => {
    const found = known.find(id, origin.caller.user);
    const conversation = found instanceof Promise ? await found : found;
    // All enter the lane in this same step, in their order.
    const outcomes = await Promise.allSettled(messages.map((message) => sendOne(conversation, message, origin)));
    const results = outcomes.map(sent);
    // Whether there is a conversation must not show in the form of the answer.
    if (results.every((result) => result instanceof AppError && result.code === 'not-found')) {
      throw new AppError('not-found');
    }
    return results;
  };
}

function messageOperation(conversation: Known, message: IncomingMessage, { caller }: Origin): MessageOperation {
  const { id, ciphertext } = message;
  return {
    kind: 'message',
    id,
    actor: caller.user,
    sha256: hash('sha256', ciphertext, 'hex'),
    size: ciphertext.length,
    ...checkMessage(conversation, ciphertext, message.epoch),
  };
}

function sent(outcome: PromiseSettledResult<Accepted | Duplicate>): Sent {
  if (outcome.status === 'rejected') {
    if (outcome.reason instanceof AppError) return outcome.reason;
    throw outcome.reason;
  }
  const { status, seq = 0, epoch = 0 } = outcome.value;
  return { seq, epoch, status };
}
