import type { ServerResponse } from 'node:http';
import type { ConversationId } from '../../domain/ids.ts';
import { contextOf } from '../http/context.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { LifeStreamEvent } from '../schemas/life.ts';

/** Opens streams of facts. */
export interface LifeStreams {
  /** @throws AppError `not-found`, `rate-limited`, `unavailable` before the first byte */
  readonly open: (
    response: ServerResponse,
    target: {
      readonly conversation: ConversationId;
      /** User id of the operator. */
      readonly operator: string;
      /** Milliseconds since 1970: the token's `exp`. */
      readonly expiresAt: number;
    },
  ) => Promise<void>;
}

/** The life of a conversation as it happens, for operators. Nothing of it waits for a lock, or starts a run. */
export function adminLifeRoutes({ life }: { readonly life: LifeStreams }): Route[] {
  const follow = defineRoute({
    method: 'get',
    path: '/v1/admin/conversations/{id}/life',
    name: 'adminFollowLife',
    tag: 'Streams',
    access: 'operator',
    summary: 'Follow the life of a conversation',
    description: [
      'Server-sent events with facts: the conversation and what waits (`head`), its log without bytes (`entry`), operations and the way that each took (`operation`), the run of its workflow (`workflow`) and its history (`history`), and what the supervisor does (`supervisor`). Never ciphertext, payloads, tokens or secrets. `docs/explanation/life.md` explains it.',
      'The newest facts come at once, then each new one. Events have no ids: a new stream tells the newest facts again. `trouble` {part}: Temporal or Postgres does not answer, and the stream goes on without its facts until `recovered` {part}. `log-restarted`: the database was restored, and the newest entries come again.',
      'These events end the stream. `slow-consumer`: your client read nothing for some seconds, or too slowly. `reconnect`: the token expires, or the server stops. Comments are heartbeats. A process has at most 50 such streams, and 10 of one operator: more are answered 429.',
    ].join('\n\n'),
    params: ConversationParams,
    isStream: true,
    replies: { 200: { description: 'Events', mediaType: 'text/event-stream', event: LifeStreamEvent } },
    problems: ['not-allowed', 'not-found', 'rate-limited', 'overloaded'],
    handle: async ({ params, caller, response }) => {
      contextOf(response).isStream = true;
      await life.open(response, {
        conversation: params.id,
        operator: caller.user,
        expiresAt: caller.expiresAt,
      });
      return undefined;
    },
  });
  return [follow];
}
