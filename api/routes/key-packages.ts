import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import {
  LOW_STOCK_KEY_PACKAGES,
  MAX_CLAIMED_KEY_PACKAGES,
  MAX_HELD_KEY_PACKAGES,
  MAX_KEY_PACKAGES_PER_DEVICE,
} from '../../domain/limits.ts';
import { claimKeyPackages, readStock, uploadKeyPackages } from '../../store/key-package/key-packages.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import { checkKeyPackages, refuseForeign } from '../../mls/key-package-batch.ts';
import { reply } from '../http/reply.ts';
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
}

const path = '/v1/key-packages';
const tag = 'Key packages';
/** Seconds; a full store empties as packages are claimed, and nobody knows when. */
const FULL_RETRY_AFTER_S = 60;

/** Key packages: those of the caller's device, and claims of those of others. */
export function keyPackageRoutes(deps: {
  readonly pool: pg.Pool;
  readonly notifier: Pick<Notifier, 'device'>;
  readonly keyPackages: KeyPackageSettings;
}): Route[] {
  const upload = (own: Pick<Route, 'method' | 'name' | 'summary' | 'description'>, replace: boolean): Route =>
    defineRoute({
      ...own,
      path,
      tag,
      body: KeyPackageUpload,
      replies: { 200: { description: 'Stored', schema: KeyPackagesStored } },
      problems: ['malformed', 'identity-mismatch', 'rate-limited'],
      handle: async ({ body, caller, response }) => {
        const { user, device } = caller;
        const { maxLifetimeMs } = deps.keyPackages;
        const packages = await checkKeyPackages(body, { user, maxLifetimeMs });
        const outcome = await uploadKeyPackages(deps.pool, { user, device }, packages, replace);
        if (outcome.status === 'foreign') throw refuseForeign(body, outcome.indexes);
        if (outcome.status === 'full') {
          response.setHeader('Retry-After', FULL_RETRY_AFTER_S);
          throw new AppError(
            'rate-limited',
            `A device has at most ${MAX_KEY_PACKAGES_PER_DEVICE} key packages in store`,
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
    description: `Of the calling device. Below ${LOW_STOCK_KEY_PACKAGES} the stock is low, which the stream \`/v1/events\` tells as well.`,
    replies: { 200: { description: 'What claims may still take', schema: KeyPackageStock } },
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
    description: `One of each device, the calling one left out. Each is handed out once, in whatever order and process claims come; only the last resort, taken when there is nothing else, may be handed out again. Claimed packages are yours for 24 hours, for the conversation named or any, and never return to the pool; with an Idempotency-Key the same claim again gives the same ones, whatever became of them. In 24 hours you get ${MAX_CLAIMED_KEY_PACKAGES} packages of a device, and no more while ${MAX_HELD_KEY_PACKAGES} of them are unused; a claim above that gives nothing, and is answered 429 \`rate-limited\`, unless the device has none left. An unknown user has no devices, and a device that is not known is left out.`,
    rateClass: 'claims',
    params: UserParams,
    body: KeyPackageClaim,
    replies: { 200: { description: 'Claimed', schema: KeyPackagesClaimed } },
    problems: ['rate-limited'],
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
      if (outcome.status === 'limited') {
        response.setHeader('Retry-After', Math.max(1, Math.ceil(outcome.retryAfterMs / 1000)));
        throw new AppError('rate-limited', limitOf(outcome.device, perMinute));
      }
      for (const device of outcome.lowStock) deps.notifier.device(user, device);
      const keyPackages = outcome.keyPackages.map(({ device, keyPackage, ref, lastResort }) => ({
        device,
        keyPackage: keyPackage.toString('base64'),
        ref: ref.toString('base64'),
        lastResort,
      }));
      return reply(200, { keyPackages, exhausted: outcome.exhausted });
    },
  });

  return [
    upload(
      {
        method: 'post',
        name: 'uploadKeyPackages',
        summary: 'Upload key packages',
        description: `For the calling device. Each is checked as a member would check it: form, both signatures, lifetime, and that its credential is basic with your user id. One bad package refuses the whole batch. A new last resort replaces the one before, of the same cipher suite. A device has at most ${MAX_KEY_PACKAGES_PER_DEVICE} in store; above it the answer is 429 \`rate-limited\`.`,
      },
      false,
    ),
    upload(
      {
        method: 'put',
        name: 'replaceKeyPackages',
        summary: 'Replace all key packages',
        description:
          'For a calling device that lost or renewed its keys. Whatever it had is withdrawn, also what was handed out and not used yet: a Welcome for that is refused with `key-package-stale`.',
      },
      true,
    ),
    count,
    claim,
  ];
}

/** @param device of which too much was taken; absent = of all together */
function limitOf(device: string | undefined, perMinute: number): string {
  return device === undefined
    ? `At most ${perMinute} key packages a minute`
    : `At most ${MAX_CLAIMED_KEY_PACKAGES} key packages of one device in 24 hours, and ${MAX_HELD_KEY_PACKAGES} that are unused: name other devices than ${JSON.stringify(device)}, or wait`;
}
