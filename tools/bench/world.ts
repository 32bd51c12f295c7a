import { randomBytes } from 'node:crypto';
import type { HttpSender } from '../load/http-sender.ts';
import { expectStatus, makeHttpSender } from '../load/http-sender.ts';
import { makeMessageBodies, messagesPath } from '../load/messages.ts';
import { conversationId, seedConversations, seedEntries } from '../load/seed.ts';
import type { Servers } from '../harness/servers.ts';
import { makeTokens } from '../load/tokens.ts';
import { makePool } from '../../store/pool.ts';
import type { Contender } from './contender.ts';

/** Number of users who send. Conversations have fewer or more members. */
export const SENDERS = 256;
/** Number of entries in the log of the old conversation. */
export const STORED_ENTRIES = 100_000;
/** Number of entries of a log that is one page long. */
export const SHORT_ENTRIES = 50;
export const GROUP_SIZES = [2, 100, 10_000] as const;

function many(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, number) => conversationId(`${name} ${number}`));
}

/** The conversations in the database of every contender. */
export const CONVERSATIONS = {
  serial: conversationId('serial'),
  hot: conversationId('hot'),
  spread: many('spread', 200),
  wide: many('wide', 1000),
  raced: many('raced', 32),
  // Only the memory case uses these: its worker stops afterwards, and no other worker serves their workflows.
  cached: many('cached', 1000),
  warming: many('warming', 64),
  warmingHot: conversationId('warming hot'),
  bySize: Object.fromEntries(GROUP_SIZES.map((size) => [size, conversationId(`size ${size}`)])),
  stored: conversationId('stored'),
  short: conversationId('short'),
  empty: conversationId('empty'),
} as const;

/** Number of the first user with a counted stream. Users with low numbers are in thousands of conversations. */
const FIRST_FOLLOWER = 20_000;
const FOLLOWERS = 5000;
/** Number of members of a followed conversation. */
const FOLLOWED_MEMBERS = 20;
/** Number of conversations that each follower is in. */
const FOLLOWED_EACH = 5;
const CIRCLES = FOLLOWERS / FOLLOWED_MEMBERS;
const followed = many('followed', CIRCLES * FOLLOWED_EACH);

/** The users who open streams. Circles of 20 users share 5 conversations. Conversation streams are spread over them. */
export const FOLLOWED: readonly { readonly user: number; readonly conversations: readonly string[] }[] = Array.from(
  { length: FOLLOWERS },
  (_, number) => {
    const circle = Math.floor(number / FOLLOWED_MEMBERS);
    return {
      user: FIRST_FOLLOWER + number,
      conversations: Array.from({ length: FOLLOWED_EACH }, (__, i) => {
        return followed[circle + CIRCLES * ((number + i) % FOLLOWED_EACH)] ?? '';
      }),
    };
  },
);

/** The number of streams, among those of the first `count` followers, that deliver messages of this conversation. */
export function followersOf(conversation: string, kind: 'conversation' | 'account', count: number): number {
  return FOLLOWED.slice(0, count).filter(({ conversations }) =>
    kind === 'account' ? conversations.includes(conversation) : conversations[0] === conversation,
  ).length;
}

/** Conversations that only some cases use, and that take time to make. */
export interface WorldParts {
  /** Users with streams, 1,250 conversations. */
  readonly followers: boolean;
  /** Logs of 100,000 and of 50 entries, and groups of up to 10,000. */
  readonly large: boolean;
  /** Conversations for the cache of a worker. */
  readonly cached: boolean;
  /** The 1000 conversations of the open loop. */
  readonly wide: boolean;
  /** The conversations of raced commits, of 256 members each. */
  readonly raced: boolean;
}

/** Makes the template database. Each contender gets a copy of it. */
export async function seedWorld(servers: Servers, database: string, parts: WorldParts): Promise<void> {
  const pool = makePool({
    url: await servers.createDatabase(database),
    max: 8,
    name: 'bench',
    statementTimeoutMs: 60_000,
    // Thousands of transactions, one after another. The copies of the database are flushed when they are made.
    synchronousCommit: false,
  });
  try {
    const { serial, hot, spread, wide, raced, cached, warming, warmingHot, bySize, stored, short, empty } =
      CONVERSATIONS;
    const crowd = (id: string): { id: string; members: number } => ({ id, members: SENDERS });
    await seedConversations(pool, [
      { id: serial, members: 2 },
      ...[hot, ...(parts.raced ? raced : [])].map(crowd),
      ...spread.map((id) => ({ id, members: 64 })),
      ...(parts.wide ? wide : []).map((id) => ({ id, members: 8 })),
      ...(parts.cached ? [crowd(warmingHot), ...[...cached, ...warming].map((id) => ({ id, members: 8 }))] : []),
      ...(parts.large ? GROUP_SIZES.map((size) => ({ id: bySize[size] ?? '', members: size })) : []),
      ...(parts.large ? [stored, short, empty].map((id) => ({ id, members: 2 })) : []),
      ...(parts.followers ? followed : []).map((id, i) => {
        return { id, members: FOLLOWED_MEMBERS, from: FIRST_FOLLOWER + (i % CIRCLES) * FOLLOWED_MEMBERS };
      }),
    ]);
    if (parts.large) {
      await seedEntries(pool, stored, STORED_ENTRIES);
      await seedEntries(pool, short, SHORT_ENTRIES);
    }
    await pool.query('vacuum analyze');
  } finally {
    await pool.end();
  }
}

/** Sends messages with new ids to one contender. */
export interface Messenger {
  readonly http: HttpSender;
  readonly tokens: readonly string[];
  /** @throws Error with status and answer unless it is 200 */
  readonly send: (conversation: string, sender: number) => Promise<void>;
  /** Reads a page. @throws Error unless it is 200 */
  readonly page: (conversation: string, after: number, limit: number) => Promise<void>;
}

export async function makeMessenger(contender: Contender): Promise<Messenger> {
  const http = makeHttpSender(contender.url, SENDERS);
  const tokens = await makeTokens(SENDERS);
  const makeBody = makeMessageBodies();
  const prefix = randomBytes(6).toString('hex');
  let count = 0;
  const token = (sender: number): string => tokens[sender] ?? '';
  return {
    http,
    tokens,
    send: async (conversation, sender) => {
      expectStatus(await http.post(messagesPath(conversation), token(sender), makeBody(`${prefix}-${count++}`)));
    },
    page: async (conversation, after, limit) => {
      expectStatus(await http.get(`${messagesPath(conversation)}?after=${after}&limit=${limit}`, token(0)));
    },
  };
}
