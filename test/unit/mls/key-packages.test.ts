import { type CiphersuiteName, defaultCapabilities } from 'ts-mls';
import { encodeLeafNode } from 'ts-mls/leafNode.js';
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../../domain/errors.ts';
import { MAX_KEY_PACKAGE_BYTES } from '../../../domain/limits.ts';
import { type KeyPackageBatch, checkKeyPackages, refuseForeign, refuseShared } from '../../../mls/key-package-batch.ts';
import type { CheckedKeyPackage } from '../../../mls/key-package.ts';
import { type KeyPackageOptions, type TestKeyPackage, tamper, testKeyPackage } from '../../harness/key-packages.ts';
import { localGroup, makeBundle } from '../../harness/mls/group.ts';

/** What a device may upload (RFC 9420 §7.3, §10.1), check by check. */

const HOUR_S = 3600;
const DAY_S = 24 * HOUR_S;
/** Tests judge by this time, so that a limit can be met to the second. */
const NOW_S = Math.floor(Date.now() / 1000);

let good: TestKeyPackage;
let lastResort: TestKeyPackage;
/** ts-mls signs a lifetime that says these times. */
const lasting = (notBefore: number, notAfter: number): KeyPackageOptions => ({
  forge: ({ leafNode }) => ({
    leafNode: {
      ...leafNode,
      leafNodeSource: 'key_package',
      lifetime: { notBefore: BigInt(notBefore), notAfter: BigInt(notAfter) },
    },
  }),
});

beforeAll(async () => {
  good = await testKeyPackage('alice');
  lastResort = await testKeyPackage('alice', { lastResort: true });
});

const bytesOf = ({ message }: Pick<TestKeyPackage, 'message'>): Buffer => Buffer.from(message, 'base64');

type Rules = Partial<Parameters<typeof checkKeyPackages>[1]>;

function check(batch: KeyPackageBatch, rules: Rules = {}): Promise<CheckedKeyPackage[]> {
  return checkKeyPackages(batch, { user: 'alice', maxLifetimeMs: undefined, ...rules });
}

/** The one fault in a batch. */
async function faultOf(batch: KeyPackageBatch, rules: Rules = {}): Promise<unknown> {
  try {
    await check(batch, rules);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const { code, message, details } = error;
    const [first] = (details.errors ?? []) as { pointer: string; message: string }[];
    return first === undefined ? [code, message, details] : [code, first.pointer, first.message];
  }
  return 'accepted';
}

const fault = async (options: KeyPackageOptions, rules: Rules = {}): Promise<unknown> =>
  faultOf({ keyPackages: [bytesOf(await testKeyPackage('alice', options))] }, rules);
const malformed = (message: string): unknown => ['malformed', '/keyPackages/0', message];

describe('a key package is accepted', () => {
  const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

  test('with its reference, its end and the hashes of its keys', async () => {
    const { leafNode, initKey } = good.keyPackage;
    expect(await check({ keyPackages: [bytesOf(good)] })).toEqual([
      {
        ref: Buffer.from(good.ref, 'base64'),
        bytes: bytesOf(good),
        cipherSuite: 1,
        lastResort: false,
        notAfter: new Date(Number(leafNode.lifetime.notAfter) * 1000),
        keys: {
          init: sha256(initKey),
          encryption: sha256(leafNode.hpkePublicKey),
          signature: sha256(leafNode.signaturePublicKey),
        },
        leafNode: sha256(encodeLeafNode(leafNode)),
      },
    ]);
  });

  test('and a last resort comes last', async () => {
    const checked = await check({ keyPackages: [bytesOf(good)], lastResort: bytesOf(lastResort) });
    expect(checked.map((one) => [one.lastResort, one.ref.toString('base64')])).toEqual([
      [false, good.ref],
      [true, lastResort.ref],
    ]);
  });

  test.each<[CiphersuiteName, number]>([
    ['MLS_128_DHKEMP256_AES128GCM_SHA256_P256', 2],
    ['MLS_256_DHKEMP521_AES256GCM_SHA512_P521', 5],
    ['MLS_256_DHKEMP384_AES256GCM_SHA384_P384', 7],
  ])('of %s', async (suite, cipherSuite) => {
    const made = await testKeyPackage('alice', { suite });
    const [checked] = await check({ keyPackages: [bytesOf(made)] });
    expect(checked).toMatchObject({ cipherSuite, ref: Buffer.from(made.ref, 'base64') });
  });

  test('with an extension that its capabilities list, and those that every client supports', async () => {
    for (const type of [0xff00, 5, 1]) {
      const capabilities = type === 0xff00 ? { extensions: [type] } : { extensions: [] };
      const forge: KeyPackageOptions['forge'] = () => ({
        leafNode: { extensions: [{ extensionType: type, extensionData: new Uint8Array() }] },
      });
      expect(await fault({ capabilities, forge })).toBe('accepted');
    }
  });

  test('with an end beyond all times, which is the last one that is stored', async () => {
    const made = await testKeyPackage('alice', lasting(0, 2 ** 52));
    const [checked] = await check({ keyPackages: [bytesOf(made)] });
    expect(checked?.notAfter).toEqual(new Date('9999-01-01T00:00:00Z'));
  });

  test('up to its largest size', async () => {
    // The default capabilities have a random number of values that mean nothing.
    const capabilities = defaultCapabilities();
    const padded = async (length: number): Promise<Buffer> => {
      const extensions = [{ extensionType: 0xff00, extensionData: new Uint8Array(length) }];
      return bytesOf(await testKeyPackage('alice', { capabilities, forge: () => ({ extensions }) }));
    };
    const length = MAX_KEY_PACKAGE_BYTES - 1000;
    const largest = await padded(length + MAX_KEY_PACKAGE_BYTES - (await padded(length)).length);
    expect(largest.length).toBe(MAX_KEY_PACKAGE_BYTES);
    expect(await faultOf({ keyPackages: [largest] })).toBe('accepted');
  });

  test('of a user id in any script', async () => {
    const made = await testKeyPackage('Ünïcode 日本');
    expect(await faultOf({ keyPackages: [bytesOf(made)] }, { user: 'Ünïcode 日本' })).toBe('accepted');
  });

  test('to the second of its lifetime, by the clock that judges', async () => {
    const now = NOW_S * 1000;
    const rules = { now, maxLifetimeMs: DAY_S * 1000 };
    const twoMinutes = 120;
    expect(await fault(lasting(NOW_S - 10, NOW_S + 1), rules)).toBe('accepted');
    expect(await fault(lasting(NOW_S - 10, NOW_S), rules)).toEqual(malformed('has expired'));
    expect(await fault(lasting(NOW_S, NOW_S + DAY_S), rules)).toBe('accepted');
    expect(await fault(lasting(NOW_S, NOW_S + DAY_S + 1), rules)).toEqual(
      malformed(`has a lifetime above ${DAY_S} seconds`),
    );
    expect(await fault(lasting(NOW_S, NOW_S + 2), { ...rules, maxLifetimeMs: 1999 })).toEqual(
      malformed('has a lifetime above 1 seconds'),
    );
    const { KEY_PACKAGE_CLOCK_SKEW_MS: skew } = await import('../../../domain/limits.ts');
    const latest = NOW_S + skew / 1000;
    expect(await fault(lasting(latest, latest + twoMinutes), rules)).toBe('accepted');
    expect(await fault(lasting(latest + 1, latest + twoMinutes), rules)).toEqual(malformed('is not valid yet'));
    expect(await fault(lasting(NOW_S + 5, NOW_S + 5), rules)).toEqual(
      malformed('has a lifetime that ends before it begins'),
    );
  });

  test('by the clock of the process, if no other one judges', async () => {
    expect(await fault({ notBefore: -2 * DAY_S, notAfter: -60 })).toEqual(malformed('has expired'));
    expect(await fault({ notBefore: DAY_S })).toEqual(malformed('is not valid yet'));
  });
});

describe('a key package is refused', () => {
  test.each<[fault: string, KeyPackageOptions]>([
    ['has a key that does not fit its cipher suite', { forge: () => ({ initKey: new Uint8Array(31).fill(9) }) }],
    [
      'has a key that does not fit its cipher suite',
      { forge: () => ({ leafNode: { hpkePublicKey: new Uint8Array(32) } }) },
    ],
    ['has the same init key and encryption key', { forge: ({ leafNode }) => ({ initKey: leafNode.hpkePublicKey }) }],
    ['does not list mls10 in its capabilities', { capabilities: { versions: [] } }],
    ['does not list its cipher suite in its capabilities', { capabilities: { ciphersuites: [] } }],
    ['does not list its credential type in its capabilities', { capabilities: { credentials: ['x509'] } }],
    [
      'has an extension in its leaf that its capabilities do not list',
      { forge: () => ({ leafNode: { extensions: [{ extensionType: 6, extensionData: new Uint8Array() }] } }) },
    ],
    [
      'has an extension in its leaf that its capabilities do not list',
      {
        capabilities: { extensions: [0xff00] },
        forge: () => ({
          leafNode: {
            extensions: [
              { extensionType: 0xff00, extensionData: new Uint8Array() },
              { extensionType: 0xff01, extensionData: new Uint8Array() },
            ],
          },
        }),
      },
    ],
    ['has the last_resort extension (10), so send it as lastResort', { lastResort: true }],
    ['has a leaf whose signature is not valid', { leafSignature: new Uint8Array(64) }],
    [
      `has more than ${MAX_KEY_PACKAGE_BYTES} bytes`,
      {
        forge: () => ({
          extensions: [{ extensionType: 0xff00, extensionData: new Uint8Array(MAX_KEY_PACKAGE_BYTES) }],
        }),
      },
    ],
  ])('that %s', async (message, options) => {
    expect(await fault(options)).toEqual(malformed(message));
  });

  test('that has another signature', async () => {
    const spoilt = bytesOf({ message: tamper(good.message, 5) });
    expect(await faultOf({ keyPackages: [spoilt] })).toEqual(malformed('has a signature that is not valid'));
  });

  test.each([
    ['has a cipher suite that cannot be checked here: 61440', 0xf000],
    // The length of a key of this suite is another one.
    ['has a key that does not fit its cipher suite', 85],
  ])('that %s', async (message, suite) => {
    const bytes = bytesOf(good);
    // Version and wire format of the message, and the version of the key package.
    bytes.writeUInt16BE(suite, 6);
    expect(await faultOf({ keyPackages: [bytes] })).toEqual(malformed(message));
  });

  test('of a suite whose signatures cannot be verified here', async () => {
    const xwing = (fill: number): Uint8Array => new Uint8Array(1216).fill(fill);
    const made = await testKeyPackage('alice', {
      capabilities: { ciphersuites: ['MLS_256_XWING_AES256GCM_SHA512_MLDSA87'] },
      forge: () => ({ initKey: xwing(1), leafNode: { hpkePublicKey: xwing(2) } }),
    });
    const bytes = bytesOf(made);
    bytes.writeUInt16BE(87, 6);
    expect(await faultOf({ keyPackages: [bytes] })).toEqual(
      malformed('has a cipher suite that cannot be checked here: 87'),
    );
  });

  test('that is something else, or not whole', async () => {
    const of = (bytes: Buffer): Promise<unknown> => faultOf({ keyPackages: [bytes] });
    expect(await of(Buffer.from('no'))).toEqual(
      malformed('is not a valid MLSMessage: protocol version is not mls10 at byte 2'),
    );
    expect(await of(Buffer.concat([bytesOf(good), Buffer.alloc(1)]))).toEqual(
      malformed(`is not a valid MLSMessage: trailing bytes at byte ${bytesOf(good).length}`),
    );
    const { states } = await localGroup(['alice']);
    const { body } = await makeBundle(states.get('alice') ?? expect.unreachable());
    expect(await of(Buffer.from(body.commit, 'base64'))).toEqual(malformed('is a private_message, not a key_package'));
  });

  test('that ts-mls cannot read, although its form is right', async () => {
    const made = await testKeyPackage('alice', {
      credential: { credentialType: 'basic', identity: Buffer.from('alice') },
    });
    // The credential type stands in front of the identity and its length, the capabilities begin after it.
    const at = bytesOf(made).indexOf(Buffer.concat([Buffer.of(0, 1, 5), Buffer.from('alice')]));
    const version = bytesOf(made);
    version.writeUInt16BE(2, at + 2 + 1 + 5 + 1);
    expect(await faultOf({ keyPackages: [version] })).toEqual(malformed('is not a valid KeyPackage'));
  });

  test('as a last resort without its extension, or whose capabilities do not list it', async () => {
    const of = async (options: KeyPackageOptions): Promise<unknown> =>
      faultOf({ keyPackages: [bytesOf(good)], lastResort: bytesOf(await testKeyPackage('alice', options)) });
    expect(await of({})).toEqual(['malformed', '/lastResort', 'lacks the last_resort extension (10)']);
    expect(await of({ lastResort: true, capabilities: { extensions: [] } })).toEqual([
      'malformed',
      '/lastResort',
      'does not list last_resort (10) in its capabilities',
    ]);
    expect(await of({ lastResort: true, capabilities: { extensions: [10] } })).toBe('accepted');
  });

  test('of somebody else, with its place', async () => {
    const basic = (identity: Uint8Array): KeyPackageOptions => ({ credential: { credentialType: 'basic', identity } });
    const foreign = ['identity-mismatch', '/keyPackages/0 has the identity of another user', { index: 0 }];
    expect(await fault(basic(Buffer.from('mallory')))).toEqual(foreign);
    expect(await fault(basic(Buffer.from('ａlice')))).toEqual(foreign);
    expect(await fault(basic(new Uint8Array()))).toEqual(foreign);
    const type = (name: string): unknown[] => [
      'identity-mismatch',
      `/keyPackages/0 has a credential of type ${name}: only basic ones are supported`,
      { index: 0 },
    ];
    expect(await fault({ credential: { credentialType: 'x509', certificates: [Buffer.from('alice')] } })).toEqual(
      type('x509 (2)'),
    );
    // Of a type that ts-mls does not know. It stands in front of the identity and its length.
    const bytes = bytesOf(await testKeyPackage('alice'));
    bytes.writeUInt16BE(0x7777, bytes.indexOf(Buffer.concat([Buffer.of(0, 1, 5), Buffer.from('alice')])));
    expect(await faultOf({ keyPackages: [bytes] })).toEqual(type('0x7777'));
    const last = bytesOf(await testKeyPackage('mallory', { lastResort: true }));
    expect(await faultOf({ keyPackages: [bytesOf(good)], lastResort: last })).toStrictEqual([
      'identity-mismatch',
      '/lastResort has the identity of another user',
      {},
    ]);
  });

  test('with all others that are malformed, which come before those of somebody else', async () => {
    const mallory = bytesOf(await testKeyPackage('mallory'));
    const noise = Buffer.from('no');
    const refused = check({ keyPackages: [mallory, noise, bytesOf(good), noise], lastResort: noise });
    const message = 'is not a valid MLSMessage: protocol version is not mls10 at byte 2';
    await expect(refused).rejects.toMatchObject({
      code: 'malformed',
      message: 'Some key packages are not valid, so no key package was stored',
      details: {
        errors: [
          { pointer: '/keyPackages/1', message },
          { pointer: '/keyPackages/3', message },
          { pointer: '/lastResort', message },
        ],
      },
    });
  });
});

describe('the problem for key packages that the store refuses', () => {
  const batch = { keyPackages: [Buffer.alloc(1), Buffer.alloc(1)], lastResort: Buffer.alloc(1) };

  test.each([
    ['was uploaded by another device', refuseForeign],
    ['has a key that was used before', refuseShared],
  ])('names each that %s', (message, refuse) => {
    expect(refuse(batch, [1, 2])).toMatchObject({
      code: 'malformed',
      message: 'Some key packages are not valid, so no key package was stored',
      details: {
        errors: [
          { pointer: '/keyPackages/1', message },
          { pointer: '/lastResort', message },
        ],
      },
    });
  });
});
