import { AppError } from '../../domain/errors.ts';
import { BODY_LIMIT_SIGNALS, MAX_SIGNAL_BYTES } from '../../domain/limits.ts';
import { checkSignal } from '../../mls/framing.ts';
import type { RateLimits } from '../../process/config.ts';
import type { StreamHub } from '../../streams/hub.ts';
import { contextOf } from '../http/context.ts';
import { emptyReply } from '../http/reply.ts';
import { SIGNAL_WRITE_MS } from '../http/request-cost.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { makeWindowCounter } from '../http/window-counter.ts';
import { ConversationParams } from '../schemas/common.ts';
import { SignalInput } from '../schemas/signals.ts';
import type { ConversationCache } from '../services/conversation-cache.ts';
import type { Operations } from '../services/operations.ts';
import type { SendSignal } from '../services/send-signal.ts';

const WINDOW_MS = 60_000;

/** Signals: typing, presence, calls. */
export function signalRoutes({
  conversations,
  operations,
  sendSignal,
  streams,
  rateLimits,
}: {
  readonly conversations: Pick<ConversationCache, 'find'>;
  readonly operations: Pick<Operations, 'answerOrRefuse'>;
  readonly sendSignal: SendSignal;
  readonly streams: Pick<StreamHub, 'countOf'>;
  readonly rateLimits: Pick<RateLimits, 'signalsOfConversation'>;
}): Route[] {
  const counter = makeWindowCounter(WINDOW_MS);
  /** @throws AppError `rate-limited` */
  const count = (user: string, conversation: string): void => {
    const most = rateLimits.signalsOfConversation;
    if (most === 0) return;
    // A space can separate the ids, because a conversation id has none.
    const used = counter.of(`${conversation} ${user}`);
    if (++used.amount <= most) return;
    const retryAfterMs = Math.max(1, used.resetAt - Date.now());
    const detail = `At most ${most} signals of one user to a conversation in a minute`;
    throw new AppError('rate-limited', detail, {}, { retryAfterMs });
  };

  const post = defineRoute({
    method: 'post',
    path: '/v1/conversations/{id}/signals',
    name: 'sendSignal',
    tag: 'Messages',
    summary: 'Send a signal',
    description: [
      'For what is of use only now: typing, presence, the ringing of a call. Members whose streams are open get the event `signal`, the own devices of the sender too. A signal has no seq, wakes nobody, and is stored nowhere: who is not connected never gets it, and under load signals are dropped before anything else waits. 202 means that it went out, not that it arrived.',
      'The right to send is the same as for messages. In `mls` conversations a signal must not be an MLSMessage (422 `wrong-content-type`): messages that devices never see would use up the keys of their sender. Seal it with a key from the MLS exporter, as the client library does (`docs/how-to/signals.md`). An `Idempotency-Key` has no effect, since it would have to be stored.',
    ].join('\n\n'),
    rateClass: 'signals',
    shedding: 'soonest',
    storesNothing: true,
    params: ConversationParams,
    body: SignalInput,
    bodyLimit: BODY_LIMIT_SIGNALS,
    replies: { 202: { description: 'The signal went out' } },
    problems: [
      'removed',
      'not-found',
      'not-allowed',
      'superseded',
      'too-large',
      'wrong-content-type',
      'rate-limited',
      'overloaded',
    ],
    handle: async ({ params: { id }, body: { data }, response, ...origin }) => {
      const { user } = origin.caller;
      count(user, id);
      try {
        if (data.length > MAX_SIGNAL_BYTES)
          throw new AppError('too-large', `A signal has at most ${MAX_SIGNAL_BYTES} bytes`);
        checkSignal(await conversations.find(id, user), data);
      } catch (refusal) {
        await operations.answerOrRefuse(id, undefined, origin, refusal);
      }
      contextOf(response).meter?.charge(streams.countOf(id) * SIGNAL_WRITE_MS);
      await sendSignal({ conversation: id, user, data });
      return emptyReply(202);
    },
  });
  return [post];
}
