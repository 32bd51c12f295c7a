import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { createCommit, createGroup } from 'ts-mls';
import { defaultClientConfig } from 'ts-mls/clientConfig.js';
import { encodeMessage, groupInfoOf, loadSuite, makeKeyPackage } from '../../client/testing.ts';
import type { InProcessApi } from '../harness/in-process-api.ts';
import { newConversationId, randomCiphertext } from '../harness/opaque.ts';

/** One request to measure. */
export interface CostCase {
  readonly name: string;
  /** `METHOD /path` */
  readonly what: string;
  /** Its body, as it is sent; a new one for each request where it may not repeat. */
  readonly body?: () => string;
  readonly times: number;
}

export const USER = 'alice';
const MEMBERS = 1000;
const GROUP = 200;

/** Makes what the requests need. The costs of that are not measured. */
export async function makeCases({ ask }: Pick<InProcessApi, 'ask'>, pool: pg.Pool): Promise<CostCase[]> {
  const suite = await loadSuite();
  const keys = await suite.signature.keygen();
  const signatureKeyPair = { signKey: keys.signKey, publicKey: keys.publicKey };
  const owner = { user: USER, signatureKeyPair };
  const conversation = newConversationId();
  await ask('POST /v1/conversations', {
    user: USER,
    body: {
      id: conversation,
      protocol: 'opaque',
      members: many(MEMBERS - 1),
      policy: { maxMembers: 10_000, groupInfo: 'optional' },
    },
  });
  const message = (bytes: number): object => ({
    id: randomBytes(8).toString('hex'),
    ciphertext: randomCiphertext(bytes),
  });
  const at = `/v1/conversations/${conversation}`;
  for (let i = 0; i < 10; i++) {
    await ask(`POST ${at}/messages`, {
      user: USER,
      body: { messages: Array.from({ length: 100 }, () => message(400)) },
    });
  }
  const packages = await Promise.all(Array.from({ length: 100 }, () => makeKeyPackage(owner, suite)));
  const uploads = packages.map(({ publicPackage }) =>
    encodeMessage({ wireformat: 'mls_key_package', keyPackage: publicPackage }),
  );
  // A last resort of each other member, of the size that ts-mls makes.
  await pool.query(
    `with owner as (insert into device (user_id, device_id) select u, 'phone' from unnest($1::text[]) u returning user_id)
     insert into key_package (ref, user_id, device_id, cipher_suite, key_package, not_after, last_resort)
     select sha256(user_id::bytea), user_id, 'phone', 1, convert_to(repeat('x', 400), 'UTF8'), now() + interval '1 day', true
     from owner`,
    [many(MEMBERS)],
  );
  const groupInfo = await treeOf(GROUP);
  const groupId = (): string => Buffer.from(groupInfo.id).toString('base64url');
  const json = (value: unknown) => (): string => JSON.stringify(value);

  return [
    { name: 'nothing', what: 'GET /health/live', times: 500 },
    { name: 'message of 400 bytes', what: `POST ${at}/messages`, body: () => JSON.stringify(message(400)), times: 500 },
    { name: 'message of 700 KB', what: `POST ${at}/messages`, body: () => JSON.stringify(message(700_000)), times: 10 },
    {
      name: 'list of 100 messages',
      what: `POST ${at}/messages`,
      body: () => JSON.stringify({ messages: Array.from({ length: 100 }, () => message(400)) }),
      times: 30,
    },
    {
      name: 'commit of 10 KB',
      what: `POST ${at}/commits`,
      body: () => JSON.stringify({ commit: randomCiphertext(10_000) }),
      times: 100,
    },
    {
      name: 'commit of 5 MB',
      what: `POST ${at}/commits`,
      body: () => JSON.stringify({ commit: randomCiphertext(5_000_000) }),
      times: 5,
    },
    { name: 'read mark', what: `POST ${at}/read`, body: json({}), times: 200 },
    {
      name: '1 key package',
      what: 'PUT /v1/key-packages',
      body: json({ keyPackages: uploads.slice(0, 1) }),
      times: 50,
    },
    { name: '100 key packages', what: 'PUT /v1/key-packages', body: json({ keyPackages: uploads }), times: 5 },
    { name: 'claim', what: `POST /v1/users/${USER}/key-packages/claim`, body: json({}), times: 100 },
    {
      name: 'claim for 1000 users',
      what: 'POST /v1/key-packages/claims',
      body: json({ users: many(MEMBERS) }),
      times: 10,
    },
    {
      name: '1000 positions',
      what: 'POST /v1/ack',
      body: json({ positions: Object.fromEntries(many(1000).map(() => [newConversationId(), 0])) }),
      times: 20,
    },
    { name: 'epoch', what: `GET ${at}/epoch`, times: 300 },
    { name: 'page of 100 entries', what: `GET ${at}/messages`, times: 100 },
    { name: 'page of 1000 entries', what: `GET ${at}/messages?limit=1000`, times: 30 },
    { name: 'page of 1000 members', what: `GET ${at}/members?limit=1000`, times: 30 },
    {
      name: 'not JSON, 8 MB',
      what: `POST ${at}/commits`,
      body: () => `{"commit":"${'A'.repeat(8_000_000)}"`,
      times: 5,
    },
    {
      name: '200,000 unknown fields',
      what: `POST ${at}/commits`,
      body: json(Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`k${i}`, 1]))),
      times: 3,
    },
    {
      name: `GroupInfo with ${GROUP} leaves (${Math.round(groupInfo.bytes.length / 1000)} KB)`,
      what: 'POST /v1/conversations',
      body: json({ id: groupId(), members: groupInfo.users, groupInfo: groupInfo.bytes }),
      times: 5,
    },
  ];

  /** A group and its GroupInfo with a ratchet tree. */
  async function treeOf(size: number): Promise<{ id: Uint8Array; bytes: string; users: string[] }> {
    const id = randomBytes(16);
    const first = await makeKeyPackage(owner, suite);
    const group = await createGroup(id, first.publicPackage, first.privatePackage, [], suite, defaultClientConfig);
    const users = many(size - 1);
    const adds = await Promise.all(
      users.map(async (user) => {
        const pair = await suite.signature.keygen();
        const { publicPackage } = await makeKeyPackage({ user, signatureKeyPair: pair }, suite);
        return { proposalType: 'add', add: { keyPackage: publicPackage } } as const;
      }),
    );
    const { newState } = await createCommit({ state: group, cipherSuite: suite }, { extraProposals: adds });
    // It claims to be of epoch 1: the creation checks the tree, and then refuses the epoch.
    return { id, bytes: await groupInfoOf(newState, suite), users };
  }
}

function many(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `user-${i}`);
}
