import { AppError } from '../domain/errors.ts';
import { type CheckedKeyPackage, KeyPackageFault, type KeyPackageRules, checkKeyPackage } from './key-package.ts';

/** Key packages that one device uploads in one request. Each is an MLSMessage. */
export interface KeyPackageBatch {
  readonly keyPackages: readonly Buffer[];
  readonly lastResort?: Buffer | undefined;
}

interface Fault {
  readonly fault: KeyPackageFault;
  /** Place in the request body as a JSON pointer (RFC 6901). */
  readonly pointer: string;
  /** Index in `keyPackages`. Absent = the last resort. */
  readonly index: number | undefined;
}

/**
 * Checks every package of a batch, one after the other.
 * @returns all packages in the order of the request; the last resort comes last
 * @throws AppError `malformed`, which lists every malformed package; if there is none, `identity-mismatch` with the
 * index of the first package of another user
 */
export async function checkKeyPackages(
  { keyPackages, lastResort }: KeyPackageBatch,
  rules: Omit<KeyPackageRules, 'lastResort'>,
): Promise<CheckedKeyPackage[]> {
  const checked: CheckedKeyPackage[] = [];
  const faults: Fault[] = [];
  const check = async (bytes: Buffer, index: number | undefined): Promise<void> => {
    const result = await checkKeyPackage(bytes, { ...rules, lastResort: index === undefined });
    if (result instanceof KeyPackageFault) faults.push({ fault: result, pointer: pointerTo(index), index });
    else checked.push(result);
  };
  for (const [index, bytes] of keyPackages.entries()) await check(bytes, index);
  if (lastResort !== undefined) await check(lastResort, undefined);

  const malformed = faults.filter(({ fault }) => fault.code === 'malformed');
  if (malformed.length > 0)
    throw malformedAt(malformed.map(({ fault, pointer }) => ({ pointer, message: fault.message })));
  const [first] = faults;
  if (first !== undefined) {
    const { fault, pointer, index } = first;
    throw new AppError('identity-mismatch', `${pointer} ${fault.message}`, index === undefined ? {} : { index });
  }
  return checked;
}

/**
 * The problem for packages that another device uploaded before.
 * @param indexes positions in the result of {@link checkKeyPackages}
 */
export function refuseForeign(batch: KeyPackageBatch, indexes: readonly number[]): AppError {
  return refuseAt(batch, indexes, 'was uploaded by another device');
}

/**
 * The problem for packages with a public key that another user, another package or another purpose has.
 * @param indexes positions in the result of {@link checkKeyPackages}
 */
export function refuseShared(batch: KeyPackageBatch, indexes: readonly number[]): AppError {
  return refuseAt(batch, indexes, 'has a key that was used before');
}

function refuseAt(batch: KeyPackageBatch, indexes: readonly number[], message: string): AppError {
  const indexOf = (position: number): number | undefined =>
    position < batch.keyPackages.length ? position : undefined;
  return malformedAt(indexes.map((position) => ({ pointer: pointerTo(indexOf(position)), message })));
}

function pointerTo(index: number | undefined): string {
  return index === undefined ? '/lastResort' : `/keyPackages/${index}`;
}

function malformedAt(errors: readonly { readonly pointer: string; readonly message: string }[]): AppError {
  return new AppError('malformed', 'Some key packages are not valid, so no key package was stored', { errors });
}
