import { SignJWT } from 'jose';
import { pino } from 'pino';
import type pg from 'pg';
import { base64 } from '../../harness/api/conversations.ts';
import { startApi } from '../../harness/api/use-api.ts';
import type { InProcessApi } from '../../../tools/harness/in-process-api.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { AUDIENCE, SECRET, tokenOf } from '../../../tools/harness/tokens.ts';
import { type Corpus, kindOf, kindOfField, makeCorpus, makeKeyPackages } from './corpus.ts';
import { type Api, readApi } from '../../../tools/fuzz/document.ts';
import { Known } from './known.ts';
import { type FuzzAnswer, type Sender, makeSender } from './sender.ts';

/** Users who send requests. `user-0` to `user-2` are members of the groups of the corpora. */
export const USERS = ['user-0', 'user-1', 'user-2', 'joiner', 'passing', 'stranger'] as const;
const KEY_PACKAGES = 6;
const CONNECTIONS = 8;

/** A service in this process, with everything that a fuzzer needs to use it. */
export interface World {
  readonly service: InProcessApi;
  readonly api: Api;
  readonly sender: Sender;
  readonly corpora: readonly Corpus[];
  readonly known: Known;
  /** `Bearer ...` by user. */
  readonly authorization: (user: string) => string;
  readonly tokens: readonly string[];
  readonly tokensToSpend: readonly string[];
  readonly badTokens: readonly (string | undefined)[];
  /** Messages (base64) that fit a field. Empty for fields whose bytes are no MLS message. */
  readonly frames: (field: string) => readonly string[];
  /** Errors that the service logged. */
  readonly errors: () => readonly string[];
  /** The log lines of the service for the request with this answer. */
  readonly errorOf: (answer: FuzzAnswer) => string;
  /** Makes an opaque conversation of all users except the stranger. @returns its id */
  readonly makeOpaque: () => Promise<string>;
  /** Makes the conversation of a corpus. */
  readonly makeMls: (corpus: Corpus, policy?: Readonly<Record<string, unknown>>) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** Starts the service and gives it its first conversations. */
export async function startWorld(pool: pg.Pool): Promise<World> {
  const errors: string[] = [];
  // Only errors are kept: a record of every request would count as memory of the service.
  const log = pino({ level: 'error' }, { write: (line: string) => void errors.push(line) });
  const service = await startApi(pool, { log, observe: () => undefined });
  const sender = makeSender(service.url, CONNECTIONS);
  const corpora = await Promise.all([2, 3].map(makeCorpus));
  const users = [...USERS, 'operator'];
  const bearers = await Promise.all(
    users.map(async (user) => [user, `Bearer ${await tokenOf(user, user === 'operator' ? { operator: true } : {})}`]),
  );
  const authorizations = new Map(bearers as [string, string][]);
  const authorization = (user: string): string => authorizations.get(user) ?? '';
  const phone = `Bearer ${await tokenOf('user-1', { device: 'phone' })}`;
  const known = new Known({ user: [...USERS], device: ['default', 'phone'], point: [''], seq: ['1', '2', '3'] });
  const ofKind = new Map<string, string[]>();
  for (const frame of corpora.flatMap(({ frames }) => frames)) {
    ofKind.set(kindOf(frame), [...(ofKind.get(kindOf(frame)) ?? []), base64(frame.bytes)]);
  }
  const packages = await Promise.all(USERS.map((user) => makeKeyPackages(user, KEY_PACKAGES)));
  ofKind.set('key package', [...(ofKind.get('key package') ?? []), ...packages.flat().map(base64)]);

  const create = async (body: Readonly<Record<string, unknown>>): Promise<void> => {
    // A request may have said that its user consents to no invitations.
    await pool.query('delete from consent');
    await pool.query('delete from consent_request');
    // An operator may have said that somebody is gone.
    for (const gone of [...USERS.map((user) => `${user}/off-boarding`), 'user-0/off-boarding?device=default']) {
      await service.ask(`DELETE /v1/admin/users/${gone}`, { headers: { authorization: authorization('operator') } });
    }
    const answer = await service.ask('POST /v1/conversations', { user: 'user-0', body });
    if (answer.status !== 201) throw new Error(`not created: ${answer.text}`);
    known.add('conversation', String(body.id));
  };
  return {
    service,
    api: await readApi(service.url),
    sender,
    corpora,
    known,
    authorization,
    // Most requests come from the users with the most rights.
    tokens: [...authorizations.values(), phone, ...[0, 0, 0, 1, 2].map((i) => authorization(`user-${i}`))],
    tokensToSpend: [authorization('passing'), authorization('stranger')],
    badTokens: await badTokens(),
    frames: (field) => kindOfField(field).flatMap((kind) => ofKind.get(kind) ?? []),
    errors: () => errors,
    errorOf: ({ headers }) =>
      errors.find((line) => line.includes(headers['x-request-id'] ?? ' '))?.slice(0, 1500) ?? '',
    makeOpaque: async () => {
      const id = newConversationId();
      await create({ id, protocol: 'opaque', members: USERS.filter((user) => user !== 'stranger') });
      return id;
    },
    makeMls: async ({ conversation, members, frames }, policy = {}) => {
      const info = frames.find(({ name }) => name.startsWith('group info with tree'));
      const groupInfo = base64(info?.bytes ?? '');
      await create({ id: conversation, members, epoch: 1, groupInfo, policy });
    },
    stop: async () => {
      await sender.close();
      await service.close();
    },
  };
}

/** Tokens that no service may take (RFC 8725). */
async function badTokens(): Promise<(string | undefined)[]> {
  const nowS = Math.floor(Date.now() / 1000);
  const good = { sub: 'user-0', aud: AUDIENCE, exp: nowS + 3600 };
  const sign = async (claims: Readonly<Record<string, unknown>>, secret = SECRET): Promise<string> => {
    const signing = new SignJWT({ ...claims }).setProtectedHeader({ alg: 'HS256' });
    return `Bearer ${await signing.sign(new TextEncoder().encode(secret))}`;
  };
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return [
    undefined,
    '',
    'Bearer',
    'Bearer x',
    'Basic dXNlcjpwYXNz',
    await sign({ ...good, exp: nowS - 3600 }),
    await sign({ ...good, aud: 'another' }),
    await sign({ aud: AUDIENCE, exp: nowS + 3600 }),
    await sign({ sub: 'user-0', aud: AUDIENCE }),
    await sign({ ...good, sub: '..' }),
    await sign({ ...good, sub: 'a\u0000b' }),
    await sign({ ...good, sub: 7 }),
    await sign({ ...good, device: 7 }),
    await sign({ ...good, nbf: nowS + 3600 }),
    await sign(good, 'another secret, of more than 32 characters as well'),
    `Bearer ${part({ alg: 'none' })}.${part(good)}.`,
    `${await sign(good)}x`,
  ];
}
