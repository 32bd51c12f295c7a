import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import {
  BODY_LIMIT_MESSAGES,
  MAX_DEVICES_PER_GROUP_CLAIM,
  MAX_GROUP_CLAIM_BYTES,
  MAX_USERS_PER_CLAIM,
} from '../../domain/limits.ts';
import { claimForUsers } from '../../store/key-package/group-claims.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import { GROUP_CLAIM_USER_MS } from '../http/request-cost.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { claimedJson } from '../services/claimed-json.ts';
import { GroupClaim, GroupClaimed } from '../schemas/group-claims.ts';
import type { KeyPackageSettings } from './key-packages.ts';

/** Claims for many users at once: what a large group is made with. */
export function groupClaimRoutes(deps: {
  readonly pool: pg.Pool;
  readonly notifier: Pick<Notifier, 'device'>;
  readonly keyPackages: KeyPackageSettings;
}): Route[] {
  const claim = defineRoute({
    method: 'post',
    path: '/v1/key-packages/claims',
    name: 'claimGroupKeyPackages',
    tag: 'Key packages',
    summary: 'Claim key packages of many users',
    description: `For a large group: one key package of each device of up to ${MAX_USERS_PER_CLAIM} users. Each user is treated as by a claim for it alone: the same packages, the same limits for a device, the same consent. What one user does not give does not touch the others: every user of the request is either in \`claimed\` or in \`missing\`. An answer has at most ${MAX_DEVICES_PER_GROUP_CLAIM} devices and ${MAX_GROUP_CLAIM_BYTES / 1024 / 1024} MB of packages; ask again for users who are \`left-over\`. With the same Idempotency-Key you get the same answer and the same packages again for 24 hours. The limit counts users in a minute; above it nothing is claimed, and the answer is 429 \`rate-limited\`.`,
    rateClass: 'claims',
    cost: { perItem: GROUP_CLAIM_USER_MS },
    bodyLimit: BODY_LIMIT_MESSAGES,
    hasLargeAnswer: true,
    body: GroupClaim,
    replies: { 200: { description: 'Claimed', schema: GroupClaimed } },
    problems: ['rate-limited'],
    handle: async ({ body, caller, operationId, response }) => {
      const { claimsPerMinute, claimedUsersPerMinute } = deps.keyPackages;
      const outcome = await claimForUsers(deps.pool, {
        operationId: operationId(),
        claimer: caller,
        users: [...new Set(body.users)],
        cipherSuite: body.cipherSuite,
        conversation: body.conversation,
        usersPerMinute: claimedUsersPerMinute,
        isLimitedByDevice: claimsPerMinute > 0,
      });
      if (outcome.status === 'limited') {
        response.setHeader('Retry-After', seconds(outcome.retryAfterMs));
        throw new AppError('rate-limited', `At most ${claimedUsersPerMinute} users a minute`);
      }
      for (const { user, device } of outcome.lowStock) deps.notifier.device(user, device);
      const { exhausted, missing } = outcome;
      // The database remembers the packages of this operation, so the answer is not stored a second time.
      return {
        ...reply(200, {
          claimed: Object.fromEntries(
            [...outcome.claimed].map(([user, packages]) => [user, packages.map(claimedJson)]),
          ),
          exhausted,
          missing: missing.map(({ user, code, retryAfterMs }) => ({
            user,
            code,
            ...(retryAfterMs === undefined ? {} : { retryAfter: seconds(retryAfterMs) }),
          })),
        }),
        isRepeatable: true,
      };
    },
  });
  return [claim];
}

/** For `Retry-After`. */
function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000));
}
