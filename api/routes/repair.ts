import type { Repair } from '../services/repair.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { ReportInput, ReportTaken, ResetDone, ResetInput } from '../schemas/repair.ts';

const tag = 'Repair';
/** Votes are counted by looking at every member: 12 ms with 10,000 of them, against less than one for other small writes. */
const weigh = (): number => 20;

/** Repair of a group that is stuck: reports and the reset. */
export function repairRoutes({ repair }: { readonly repair: Repair }): Route[] {
  const report = defineRoute({
    method: 'post',
    path: '/v1/conversations/{id}/reports',
    name: 'reportEntry',
    tag,
    summary: 'Report an entry that you cannot process',
    description:
      'The newest report of each member counts, for 7 days or until a commit of that member is accepted. Votes have the members who were proven when the vote began: who acted under their own token for `voteAfterHours`; those whom one member brought in since count as one. More than half of the votes open a reset. Then all members get a `conversation` event. About the epoch of an outsider whom no member has followed yet, one report of a proven member is enough.',
    shedding: 'last',
    params: ConversationParams,
    body: ReportInput,
    weigh,
    replies: { 200: { description: 'Counted', schema: ReportTaken } },
    problems: ['removed', 'not-found', 'superseded', 'id-reused'],
    handle: async ({ params, body, operationId, ...origin }) =>
      reply(200, await repair.report(params.id, body, origin, operationId)),
  });

  const reset = defineRoute({
    method: 'post',
    path: '/v1/conversations/{id}/reset',
    name: 'resetConversation',
    tag,
    summary: 'Replace a conversation with a new one',
    description:
      'Admins may reset at any time, and every proven member after reports have opened a reset. Removed and barred users stay out. Where an outsider joined by an external commit and no member followed, the successor bars it. The successor has the same members, roles and policy, and epoch 0. The old conversation stays readable, and answers writes with `superseded`.',
    shedding: 'last',
    params: ConversationParams,
    body: ResetInput,
    weigh,
    replies: {
      201: { description: 'Done', schema: ResetDone },
      200: { description: 'The same request did it earlier', schema: ResetDone },
    },
    problems: ['not-allowed', 'removed', 'not-found', 'conversation-exists', 'superseded', 'id-reused'],
    handle: async ({ params, body: { successor }, operationId: _operationId, ...origin }) => {
      const { isNew } = await repair.reset(params.id, successor, origin);
      const headers = isNew ? { Location: `/v1/conversations/${successor}` } : {};
      return reply(isNew ? 201 : 200, { successor }, headers);
    },
  });
  return [report, reset];
}
