import { hash } from 'node:crypto';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted, Duplicate, MessageOperation } from '../../domain/operation.ts';
import { type CheckedMessage, checkMessage } from '../../mls/framing.ts';
import type { Known, KnownConversations } from './known-conversations.ts';
import type { Operate, Origin } from './operations.ts';
import type { CheckProposer } from './proposer.ts';

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

/** A message that was parsed, or why it cannot be taken. */
interface Prepared {
  readonly bytes: Buffer;
  readonly operation?: MessageOperation;
  readonly checked?: CheckedMessage;
  readonly refusal?: unknown;
}

export function makeSendMessages({
  known,
  operate,
  checkProposer,
}: {
  readonly known: KnownConversations;
  readonly operate: Operate;
  readonly checkProposer: CheckProposer;
}): SendMessages {
  const sendOne = (
    id: ConversationId,
    { bytes, operation, refusal }: Prepared,
    origin: Origin,
  ): Promise<Accepted | Duplicate> =>
    operation === undefined || refusal !== undefined
      ? operate.refuse(id, operation, origin, refusal)
      : operate.apply(id, operation, origin, { ciphertext: bytes });

  const withProposer = async (prepared: Prepared, id: ConversationId, user: string): Promise<Prepared> => {
    const { framing, proposal } = prepared.checked ?? {};
    if (framing === undefined || proposal === undefined) return prepared;
    try {
      await checkProposer(id, { framing, proposal }, user);
      return prepared;
    } catch (error) {
      return { ...prepared, refusal: error };
    }
  };

  return async (id, messages, origin) => {
    const found = known.find(id, origin.caller.user);
    const conversation = found instanceof Promise ? await found : found;
    let prepared = messages.map((message) => prepare(conversation, message, origin));
    if (prepared.some(({ checked }) => checked?.proposal !== undefined)) {
      prepared = await Promise.all(prepared.map((one) => withProposer(one, id, origin.caller.user)));
    }
    // All enter the lane in this same step, in their order.
    const outcomes = await Promise.allSettled(prepared.map((one) => sendOne(id, one, origin)));
    const results = outcomes.map(sent);
    // Whether there is a conversation must not show in the form of the answer.
    if (results.every((result) => result instanceof AppError && result.code === 'not-found')) {
      throw new AppError('not-found');
    }
    return results;
  };
}

function prepare(conversation: Known, { id, ciphertext, epoch }: IncomingMessage, { caller }: Origin): Prepared {
  try {
    const checked = checkMessage(conversation, ciphertext, epoch);
    const sha256 = hash('sha256', ciphertext, 'hex');
    const operation = { kind: 'message', id, actor: caller.user, sha256, size: ciphertext.length } as const;
    return { bytes: ciphertext, checked, operation: { ...operation, ...checked.framing } };
  } catch (error) {
    return { bytes: ciphertext, refusal: error };
  }
}

function sent(outcome: PromiseSettledResult<Accepted | Duplicate>): Sent {
  if (outcome.status === 'rejected') {
    if (outcome.reason instanceof AppError) return outcome.reason;
    throw outcome.reason;
  }
  const { status, seq = 0, epoch = 0 } = outcome.value;
  return { seq, epoch, status };
}
