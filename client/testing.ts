// The second edge of the client library, only for tests and tools: they craft MLS messages and read the state of a device.
// These names are no promise to apps; apps import from index.ts.
import type { MlsLibrary } from './mls/mls-library.ts';
import { CIPHER_SUITE } from './mls/mls-library.ts';
import { clientConfig } from './ts-mls/client-config.ts';
import { tsMls } from './ts-mls/ts-mls-library.ts';

export type { DeviceIdentity } from './device/identity.ts';
export type { BuiltCommit } from './group/changes.ts';
export { buildCommit, planAdd, planRemove } from './group/changes.ts';
export { GroupLog } from './group/group-log.ts';
export type { GroupState, MlsLibrary } from './mls/mls-library.ts';
export { usersByLeaf } from './mls/leaves.ts';
export { sealSignal, signalKeysOf } from './mls/signals.ts';
export { GroupStore } from './storage/group-store.ts';
export { groupInfoOf, joiningSuite, makeGroupInfo } from './ts-mls/group-info.ts';
export { loadSuite, makeKeyPackage } from './ts-mls/key-package.ts';
export { decodeMessage, encodeMessage } from './ts-mls/messages.ts';
export { clientStateOf, groupStateOf } from './ts-mls/ts-mls-library.ts';
export { leavesOf, userOfCredential } from './ts-mls/tree.ts';

/** A configuration of ts-mls that takes every key for the user's. */
export const trustingConfig = clientConfig(() => Promise.resolve(true));

/** ts-mls, which takes every key for the user's. */
export function trustingMls(cipherSuite = CIPHER_SUITE): Promise<MlsLibrary> {
  return tsMls({ cipherSuite, verify: () => Promise.resolve(true) });
}
