// The second edge of the client library, only for tests and tools: they craft MLS messages and read the state of a device.
// These names are no promise to apps; apps import from index.ts.
export { clientConfig } from './device/authentication.ts';
export type { DeviceIdentity } from './device/identity.ts';
export type { BuiltCommit } from './group/changes.ts';
export { buildCommit, planAdd, planRemove } from './group/changes.ts';
export { GroupLog } from './group/group-log.ts';
export { groupInfoOf, joiningSuite, makeGroupInfo } from './mls/group-info.ts';
export { loadSuite, makeKeyPackage } from './mls/key-package.ts';
export { decodeMessage, encodeMessage } from './mls/messages.ts';
export { sealSignal, signalKeysOf } from './mls/signals.ts';
export { epochAuthenticator, leavesOf, usersByLeaf } from './mls/tree.ts';
export { GroupStore } from './storage/group-store.ts';
