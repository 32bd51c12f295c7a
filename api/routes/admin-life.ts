import { MAX_LIFE_STREAMS, MAX_LIFE_STREAMS_PER_OPERATOR } from '../../domain/limits.ts';
import type { LifeStreams } from '../../streams/life/life-streams.ts';
import { contextOf } from '../http/context.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { LifeStreamEvent } from '../schemas/life.ts';
import type { CutOffs } from '../services/cut-offs.ts';

/** The life of a conversation as it happens, for operators. Nothing of it waits for a lock, or starts a run. */
export function adminLifeRoutes({
  life,
  cutOffs,
}: {
  readonly life: Pick<LifeStreams, 'open'>;
  readonly cutOffs: Pick<CutOffs, 'refuses'>;
}): Route[] {
  const follow = defineRoute({
    method: 'get',
    path: '/v1/admin/conversations/{id}/life',
    name: 'adminFollowLife',
    tag: 'Streams',
    access: 'operator',
    summary: 'Follow the life of a conversation',
    description: [
      'Server-sent events with facts: the conversation and what waits (`head`), its log without bytes (`entry`), operations and the way that each took (`operation`), the run of its workflow (`workflow`) and its history (`history`), and what the supervisor does (`supervisor`). Never ciphertext, payloads, tokens or secrets. The audit trail says who looks. `docs/explanation/life.md` explains it.',
      'The newest facts come at once, then each new one. Events have no ids: a new stream tells the newest facts again. `trouble` {part}: Temporal or Postgres does not answer, and the stream goes on without its facts until `recovered` {part}. `log-restarted`: the database was restored, and the newest entries come again.',
      `These events end the stream. \`slow-consumer\`: your client read nothing for some seconds, or too slowly. \`reconnect\`: the token expires, the server stops, or a restore of the database took the conversation away. Comments are heartbeats. A process has at most ${MAX_LIFE_STREAMS} such streams, and ${MAX_LIFE_STREAMS_PER_OPERATOR} of one operator: more are answered 429.`,
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
        isCutOff: () => cutOffs.refuses(caller),
      });
      return undefined;
    },
  });
  return [follow];
}
