import { randomUUID } from 'node:crypto';
import type { ClaimedKeyPackages } from '../../../client/index.ts';
import { encodeMessage, loadSuite, makeKeyPackage } from '../../../client/testing.ts';
import type { Act, Scene } from './scene.ts';

/** Whose key packages everybody claims. */
const OWNER = 'owner-of-key-packages';
const DEVICE = 'phone';
/** Uploaded at a time. */
const STOCK = 20;

/** Claims a key package: each is handed out once, and a repeated claim gets the same again (invariant 6). */
export const claimKeyPackage: Act = async (scene, book, user) => {
  const { ledger, tries, people } = scene;
  const key = randomUUID();
  const answer = await tries.perform({
    sort: 'other',
    what: 'claim',
    conversation: book.conversation,
    run: async () =>
      (await people.http(user).json('POST', `/v1/users/${OWNER}/key-packages/claim`, {
        body: { devices: [DEVICE] },
        idempotencyKey: key,
      })) as ClaimedKeyPackages,
  });
  if (answer === undefined || !('keyPackages' in answer)) return;
  for (const { ref, lastResort } of answer.keyPackages) {
    if (lastResort) continue;
    const earlier = ledger.claimed.get(ref);
    if (earlier !== undefined && earlier !== key) ledger.object(`key package ${ref} was handed out twice`);
    ledger.claimed.set(ref, key);
  }
  if (answer.keyPackages.length === 0) await uploadKeyPackages(scene, book.conversation);
};

/** New key packages of the owner's device. */
export async function uploadKeyPackages({ tries, people }: Scene, conversation: string): Promise<void> {
  const suite = await loadSuite();
  const signatureKeyPair = await suite.signature.keygen();
  const made = await Promise.all(
    Array.from({ length: STOCK }, () => makeKeyPackage({ user: OWNER, signatureKeyPair }, suite)),
  );
  const keyPackages = made.map(({ publicPackage }) =>
    encodeMessage({ wireformat: 'mls_key_package', keyPackage: publicPackage }),
  );
  await tries.perform({
    sort: 'other',
    what: 'upload',
    conversation,
    run: () => people.http(OWNER, DEVICE).json('POST', '/v1/key-packages', { body: { keyPackages } }),
  });
}
