import type pg from 'pg';
import { checkKeyPackage, KeyPackageFault } from '../../mls/key-package.ts';
import { type DeviceName, type NewKeyPackage, uploadKeyPackages } from '../../store/key-package/key-packages.ts';
import type { Findings } from './findings.ts';
import { ownerOf } from './ids.ts';
import type { Original } from './original.ts';

const PAGE = 200;
/** The device of a user whose rows name none: what tokens without a device mean. */
const DEFAULT_DEVICE = 'default';
/** Head of an MLSMessage with a key package (RFC 9420 §6). Some clients stored the key package without it. */
const HEAD = Buffer.from([0, 1, 0, 5]);

export interface DevicesDeps {
  readonly original: Original;
  readonly pool: pg.Pool;
  readonly dryRun: boolean;
  readonly findings: Findings;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Imports devices, and key packages that nobody has consumed. Each key package passes the checks of an upload. Safe to repeat: what is
 * there is not stored twice.
 */
export async function importDevices(
  deps: DevicesDeps,
): Promise<{ readonly devices: number; readonly keyPackages: number }> {
  return { devices: await copyDevices(deps), keyPackages: await copyKeyPackages(deps) };
}

async function copyDevices({ original, pool, dryRun, signal }: DevicesDeps): Promise<number> {
  if (!original.hasTable('devices')) return 0;
  const created = original.column('devices', 'created_at', 'now()');
  let devices = 0;
  for (let after = ['', '']; signal?.aborted !== true;) {
    const { rows } = await original.pool.query<{ did: string; device: string; createdAt: Date }>(
      `select user_did as did, device_id::text as device, ${created} as "createdAt" from devices
       where (user_did, device_id::text) > ($1, $2) order by user_did, device_id::text limit $3`,
      [...after, PAGE],
    );
    const named = rows.flatMap(({ did, device, createdAt }) => {
      const owner = ownerOf(did, null, device);
      return owner === undefined || owner.device === '' ? [] : [{ ...owner, createdAt }];
    });
    devices += named.length;
    if (!dryRun) {
      // Not seen by Parley yet: a device that never comes holds no entry back.
      await pool.query(
        `insert into device (user_id, device_id, created_at, seen_at)
         select d.user_id, d.device_id, d.at, d.at from unnest($1::text[], $2::text[], $3::timestamptz[]) as d (user_id, device_id, at)
         on conflict do nothing`,
        [named.map(({ user }) => user), named.map(({ device }) => device), named.map(({ createdAt }) => createdAt)],
      );
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) break;
    after = [last.did, last.device];
  }
  return devices;
}

async function copyKeyPackages({ original, pool, dryRun, findings, signal }: DevicesDeps): Promise<number> {
  if (!original.hasTable('key_packages')) return 0;
  const device = original.column('key_packages', 'device_id', 'null::text');
  const consumed = original.column('key_packages', 'consumed_at', 'null::timestamptz');
  const expires = original.column('key_packages', 'expires_at', 'null::timestamptz');
  let keyPackages = 0;
  for (let after = ''; signal?.aborted !== true;) {
    const { rows } = await original.pool.query<{ id: string; did: string; device: string | null; bytes: Buffer }>(
      `select id::text as id, owner_did as did, ${device} as device, key_package as bytes from key_packages
       where id::text > $1 and ${consumed} is null and (${expires} is null or ${expires} > now()) order by id::text limit $2`,
      [after, PAGE],
    );
    const good = new Map<string, { owner: DeviceName; packages: NewKeyPackage[] }>();
    for (const { id, did, device: name, bytes } of rows) {
      const owner = ownerOf(did, null, name);
      const checked = owner === undefined ? undefined : await checkedPackage(bytes, owner.user);
      if (owner === undefined || checked === undefined) {
        findings.add('key-packages-refused', id);
        continue;
      }
      const target = { user: owner.user, device: owner.device === '' ? DEFAULT_DEVICE : owner.device };
      const entry = good.get(JSON.stringify(target)) ?? { owner: target, packages: [] };
      entry.packages.push(checked);
      good.set(JSON.stringify(target), entry);
    }
    for (const { owner, packages } of good.values()) {
      const stored = dryRun ? packages.length : await upload(pool, owner, packages);
      keyPackages += stored;
      findings.add('key-packages-refused', `${owner.user} ${owner.device}`, packages.length - stored);
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) break;
    after = last.id;
  }
  return keyPackages;
}

async function checkedPackage(bytes: Buffer, user: string): Promise<NewKeyPackage | undefined> {
  for (const candidate of [bytes, Buffer.concat([HEAD, bytes])]) {
    const checked = await checkKeyPackage(candidate, { user, lastResort: false, maxLifetimeMs: undefined });
    if (!(checked instanceof KeyPackageFault)) return checked;
  }
  return undefined;
}

/** @returns how many of them are in store now */
async function upload(pool: pg.Pool, owner: DeviceName, packages: readonly NewKeyPackage[]): Promise<number> {
  const outcome = await uploadKeyPackages(pool, owner, packages, false);
  if (outcome.status === 'stored') return packages.length;
  if (outcome.status === 'full' || packages.length === 1) return 0;
  const bad = new Set(outcome.indexes);
  return upload(
    pool,
    owner,
    packages.filter((_, index) => !bad.has(index)),
  );
}
