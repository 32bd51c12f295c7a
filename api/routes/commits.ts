import { BODY_LIMIT_COMMITS } from '../../domain/limits.ts';
import type { ProblemCode } from '../../domain/errors.ts';
import type { ApplyCommit } from '../services/commits.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ConversationParams } from '../schemas/common.ts';
import { CommitAccepted, CommitBundle } from '../schemas/members.ts';

/** Problems of a commit. */
export const COMMIT_PROBLEMS: readonly ProblemCode[] = [
  'not-allowed',
  'consent-required',
  'identity-mismatch',
  'removed',
  'not-found',
  'group-info-missing',
  'epoch-conflict',
  'log-restarted',
  'removal-pending',
  'epoch-ahead',
  'key-package-stale',
  'superseded',
  'id-reused',
  'wrong-group',
  'wrong-content-type',
  'welcome-mismatch',
  'group-info-mismatch',
  'membership-mismatch',
  'too-many-members',
];

/** Commits, with all changes that become valid with them. */
export function commitRoutes({ applyCommit }: { readonly applyCommit: ApplyCommit }): Route[] {
  const commit = defineRoute({
    method: 'post',
    path: '/v1/conversations/{id}/commits',
    name: 'commit',
    admission: 'joinable',
    tag: 'Commits',
    summary: 'Send a commit',
    description:
      'Exactly one commit ends an epoch. Any other commit for that epoch gets `epoch-conflict` with the current epoch, the commit that won, and the seq after which to read. External commits (PublicMessages of new members) use this route too, if the policy allows them.',
    rateClass: 'commits',
    params: ConversationParams,
    body: CommitBundle,
    bodyLimit: BODY_LIMIT_COMMITS,
    replies: { 200: { description: 'Accepted, now or by an earlier request', schema: CommitAccepted } },
    problems: COMMIT_PROBLEMS,
    handle: async ({ params, body, operationId, ...origin }) => {
      const outcome = await applyCommit(params.id, { ...body, mayJoin: true }, origin, operationId);
      const { seq, epoch, sha256, chain, at = '' } = outcome;
      return reply(200, {
        seq,
        epoch,
        sha256,
        at: new Date(at).toISOString(),
        ...(chain === undefined ? {} : { chain }),
      });
    },
  });
  return [commit];
}
