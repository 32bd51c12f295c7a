import type { ClientState } from 'ts-mls';

const NOTHING = new Uint8Array();

/**
 * What may stay of a state whose epoch the service has lost: the keys with which messages of the last common epoch are read.
 * All secrets of the lost epoch are gone, and with the signature key and the path also everything that a message or a commit
 * could be sent with.
 * @param epoch the last one that the device and the log have in common; `undefined`: not known
 */
export function readableState(dead: ClientState, epoch: number | undefined): ClientState {
  const common = epoch === undefined ? undefined : dead.historicalReceiverData.get(BigInt(epoch));
  const history = [...dead.historicalReceiverData].filter(
    ([past]) => common !== undefined && past < BigInt(epoch ?? 0),
  );
  return {
    clientConfig: dead.clientConfig,
    groupContext: common?.groupContext ?? dead.groupContext,
    ratchetTree: common?.ratchetTree ?? dead.ratchetTree,
    secretTree: common?.secretTree ?? [],
    keySchedule: {
      senderDataSecret: common?.senderDataSecret ?? NOTHING,
      resumptionPsk: common?.resumptionPsk ?? NOTHING,
      ...{ exporterSecret: NOTHING, externalSecret: NOTHING, confirmationKey: NOTHING, membershipKey: NOTHING },
      ...{ epochAuthenticator: NOTHING, initSecret: NOTHING },
    },
    privatePath: { leafIndex: dead.privatePath.leafIndex, privateKeys: {} },
    signaturePrivateKey: NOTHING,
    unappliedProposals: {},
    confirmationTag: NOTHING,
    historicalReceiverData: new Map(history),
    groupActiveState: { kind: 'active' },
  };
}
