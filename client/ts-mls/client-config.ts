import type { ClientConfig } from 'ts-mls';
import {
  defaultKeyPackageEqualityConfig,
  defaultKeyRetentionConfig,
  defaultLifetimeConfig,
  defaultPaddingConfig,
} from 'ts-mls';
import { userOfCredential } from './tree.ts';

/** Configuration with which ts-mls asks about every leaf of a tree whether its signature key is the user's. */
export function clientConfig(verify: (user: string, signatureKey: Uint8Array) => Promise<boolean>): ClientConfig {
  return {
    keyRetentionConfig: defaultKeyRetentionConfig,
    lifetimeConfig: defaultLifetimeConfig,
    keyPackageEqualityConfig: defaultKeyPackageEqualityConfig,
    paddingConfig: defaultPaddingConfig,
    authService: {
      validateCredential: async (credential, signatureKey) => {
        const user = userOfCredential(credential);
        return user !== undefined && verify(user, signatureKey);
      },
    },
  };
}
