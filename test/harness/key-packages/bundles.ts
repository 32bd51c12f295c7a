import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Outcome } from '../../../domain/outcome.ts';
import type { OperationJson, RequestJson } from '../../../store/decision/inline-operation.ts';
import { decide } from '../../../store/decision/decide.ts';
import type { DeviceName, NewKeyPackage } from '../../../store/key-package/key-packages.ts';
import { claimKeyPackages, uploadKeyPackages } from '../../../store/key-package/key-packages.ts';
import { sha256 } from '../requests.ts';
import { newKeyPackage } from './packages.ts';

/** A commit, of `alice` unless it says otherwise, with a Welcome, as far as the store looks into one. @returns its outcome */
export async function commit(
  pool: pg.Pool,
  conversation: string,
  epoch: number,
  request: RequestJson,
  actor = 'alice',
): Promise<Outcome | undefined> {
  const bytes = randomBytes(8).toString('hex');
  const operation: OperationJson = {
    kind: 'commit',
    id: bytes,
    actor,
    // Nobody races here.
    deferred: true,
    epoch,
    sha256: sha256(bytes).toString('hex'),
    size: bytes.length,
    bytes: { ciphertext: 1, ...(request.refs === undefined ? {} : { welcome: 2 }) },
    ...request,
  };
  const { outcomes } = await decide(pool, conversation, [operation], [Buffer.from(bytes), Buffer.from('welcome')]);
  return outcomes[0];
}

/** A key package of a device that `alice` has claimed. @returns its ref, as hex */
export async function claimed(pool: pg.Pool, owner: DeviceName, more: Partial<NewKeyPackage> = {}): Promise<string> {
  await uploadKeyPackages(pool, owner, [newKeyPackage(more)], false);
  const outcome = await claimKeyPackages(pool, {
    operationId: randomUUID(),
    claimer: { user: 'alice', device: 'phone' },
    user: owner.user,
    devices: [owner.device],
    cipherSuite: undefined,
    conversation: undefined,
    perMinute: 0,
  });
  const [keyPackage] = outcome.status === 'claimed' ? outcome.keyPackages : [];
  if (keyPackage === undefined) throw new Error('Nothing was claimed');
  return keyPackage.ref.toString('hex');
}
