import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import {
  LOW_STOCK_KEY_PACKAGES,
  MAX_CLAIMED_KEY_PACKAGES,
  MAX_HELD_KEY_PACKAGES,
  MAX_KEY_PACKAGES_PER_DEVICE,
} from '../../domain/limits.ts';
import { claimKeyPackages, readStock, uploadKeyPackages } from '../../store/key-package/key-packages.ts';
import type { Jobs } from '../../compute/jobs.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import { refuseForeign, refuseShared } from '../../mls/key-package-batch.ts';
import { reply } from '../http/reply.ts';
import { claimedJson } from '../services/claimed-json.ts';
import { KEY_PACKAGE_MS } from '../http/request-cost.ts';
import { type Route, defineRoute } from '../http/route.ts';
import {
  KeyPackageClaim,
  KeyPackageStock,
  KeyPackageUpload,
  KeyPackagesClaimed,
  KeyPackagesStored,
  UserParams,
} from '../schemas/key-packages.ts';

/** Limits of key packages from the configuration. */
export interface KeyPackageSettings {
  /** Milliseconds; absent = any lifetime. */
  readonly maxLifetimeMs: number | undefined;
  /** Packages that one user may claim in a minute; 0 = no limit. */
  readonly claimsPerMinute: number;
  /** Users whose packages one user may claim in a minute with claims for many users; 0 = no limit. */
  readonly claimedUsersPerMinute: number;
  /** Milliseconds since 1970; judges lifetimes. @default the clock of the process */
  readonly now?: () => number;
}

const path = '/v1/key-packages';
const tag = 'Key packages';
/** Seconds. A full store has space again after claims, and nobody knows the time of the next claim. */
const FULL_RETRY_AFTER_S = 60;

/** Upload key packages of the caller's device, and claim key packages of other devices. */
export function keyPackageRoutes(deps: {
  readonly pool: pg.Pool;
  readonly notifier: Pick<Notifier, 'device'>;
  readonly keyPackages: KeyPackageSettings;
  readonly jobs: Jobs;
}): Route[] {
  const upload = (own: Pick<Route, 'method' | 'name' | 'summary' | 'description'>, replace: boolean): Route =>
    defineRoute({
      ...own,
      path,
      tag,
      cost: { perItem: KEY_PACKAGE_MS },
      body: KeyPackageUpload,
      replies: { 200: { description: 'Stored', schema: KeyPackagesStored } },
      problems: ['malformed', 'identity-mismatch', 'rate-limited'],
      handle: async ({ body, caller, deadline, response }) => {
        const { user, device } = caller;
        const { maxLifetimeMs, now = Date.now } = deps.keyPackages;
        const rules = { user, maxLifetimeMs, now: now() };
        const packages = await deps.jobs.run('key-packages', { user, deadline }, body, rules);
        const outcome = await uploadKeyPackages(deps.pool, { user, device }, packages, replace);
        if (outcome.status === 'foreign') throw refuseForeign(body, outcome.indexes);
        if (outcome.status === 'shared') throw refuseShared(body, outcome.indexes);
        if (outcome.status === 'full') {
          response.setHeader('Retry-After', FULL_RETRY_AFTER_S);
          throw new AppError(
            'rate-limited',
            `A device may have at most ${MAX_KEY_PACKAGES_PER_DEVICE} key packages in store`,
          );
        }
        const { stored, duplicates, available } = outcome;
        return reply(200, { stored, duplicates, available });
      },
    });

  const count = defineRoute({
    method: 'get',
    path,
    name: 'countKeyPackages',
    tag,
    summary: 'Count your key packages',
    description: `Counts for the calling device. Below ${LOW_STOCK_KEY_PACKAGES} the stock is low. Then the stream \`/v1/events\` also sends \`low-stock\`.`,
    replies: { 200: { description: 'The stock', schema: KeyPackageStock } },
    problems: [],
    handle: async ({ caller }) => {
      const stock = await readStock(deps.pool, caller);
      return reply(200, { ...stock, lowStock: stock.available < LOW_STOCK_KEY_PACKAGES });
    },
  });

  const claim = defineRoute({
    method: 'post',
    path: '/v1/users/{user}/key-packages/claim',
    name: 'claimKeyPackages',
    tag,
    summary: 'Claim key packages of a user',
    description: `Gives one key package of each device, except the calling device. Each package is given out once, also if claims arrive in several processes at the same time. Only the last resort may be given out again; it is used if there is no other package. Claimed packages are yours for 24 hours, for the named conversation or for any conversation, and never return to the stock. With the same Idempotency-Key, the same claim gives the same packages again, even if they were used in the meantime. In 24 hours you get at most ${MAX_CLAIMED_KEY_PACKAGES} packages of a device, and no further ones while ${MAX_HELD_KEY_PACKAGES} of them are unused. A claim above these limits gives nothing, and the answer is 429 \`rate-limited\`, unless the device has no packages left. An unknown user has no devices. Unknown devices are left out. If the user lets only others invite it, the answer is 403 \`consent-required\`, and the user gets a request that it may accept.`,
    rateClass: 'claims',
    hasLargeAnswer: true,
    params: UserParams,
    body: KeyPackageClaim,
    replies: { 200: { description: 'Claimed', schema: KeyPackagesClaimed } },
    problems: ['consent-required', 'rate-limited'],
    handle: async ({ params: { user }, body, caller, operationId, response }) => {
      const { claimsPerMinute: perMinute } = deps.keyPackages;
      const { devices, cipherSuite, conversation } = body;
      const outcome = await claimKeyPackages(deps.pool, {
        operationId: operationId(),
        claimer: caller,
        user,
        devices,
        cipherSuite,
        conversation,
        perMinute,
      });
      if (outcome.status === 'consent-required') throw new AppError('consent-required');
      if (outcome.status === 'limited') {
        response.setHeader('Retry-After', Math.max(1, Math.ceil(outcome.retryAfterMs / 1000)));
        throw new AppError('rate-limited', limitOf(outcome.device, perMinute));
      }
      for (const device of outcome.lowStock) deps.notifier.device(user, device);
      return reply(200, { keyPackages: outcome.keyPackages.map(claimedJson), exhausted: outcome.exhausted });
    },
  });

  return [
    upload(
      {
        method: 'post',
        name: 'uploadKeyPackages',
        summary: 'Upload key packages',
        description: `For the calling device. The service checks each package like a member: its form, both signatures, its lifetime, and that its credential is basic and contains your user id. If one package is bad, none is stored. A new last resort replaces the earlier one of the same cipher suite. A device may have at most ${MAX_KEY_PACKAGES_PER_DEVICE} in store. Above that, the answer is 429 \`rate-limited\`.`,
      },
      false,
    ),
    upload(
      {
        method: 'put',
        name: 'replaceKeyPackages',
        summary: 'Replace all key packages',
        description:
          'For a calling device that lost or renewed its keys. All its earlier packages are withdrawn, also those that were given out and are not used yet: a Welcome for such a package is refused with `key-package-stale`.',
      },
      true,
    ),
    count,
    claim,
  ];
}

/** The limit that a claim reached. @param device the device of this limit; absent = the limit of the user for all devices */
function limitOf(device: string | undefined, perMinute: number): string {
  return device === undefined
    ? `At most ${perMinute} key packages a minute`
    : `At most ${MAX_CLAIMED_KEY_PACKAGES} key packages of one device in 24 hours, and at most ${MAX_HELD_KEY_PACKAGES} unused ones: leave out the device ${JSON.stringify(device)}, or wait`;
}
