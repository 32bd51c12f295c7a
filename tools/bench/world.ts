import { randomBytes } from 'node:crypto';
import type { HttpSender } from '../load/http-sender.ts';
import { makeHttpSender } from '../load/http-sender.ts';
import { makeMessageBodies, messagesPath } from '../load/messages.ts';
import { conversationId, seedConversations, seedEntries } from '../load/seed.ts';
import type { Servers } from '../harness/servers.ts';
import { makeTokens } from '../load/tokens.ts';
import { makePool } from '../../store/pool.ts';
import type { Contender } from './contender.ts';

/** Users who send; conversations have fewer or more members. */
export const SENDERS = 256;
/** Entries of the conversation that has been there for long. */
export const STORED_ENTRIES = 100_000;
/** Entries of a log that is one page long. */
export const SHORT_ENTRIES = 50;
export const GROUP_SIZES = [2, 100, 10_000] as const;

function many(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, number) => conversationId(`${name} ${number}`));
}

/** The conversations of every contender's database. */
export const CONVERSATIONS = {
  serial: conversationId('serial'),
  hot: conversationId('hot'),
  spread: many('spread', 200),
  wide: many('wide', 1000),
  // Of the memory case alone: its worker is gone afterwards, and with it whoever could serve their workflows.
  cached: many('cached', 1000),
  warming: many('warming', 64),
  warmingHot: conversationId('warming hot'),
  bySize: Object.fromEntries(GROUP_SIZES.map((size) => [size, conversationId(`size ${size}`)])),
  stored: conversationId('stored'),
  short: conversationId('short'),
  empty: conversationId('empty'),
} as const;

/** The users whose streams are counted stand apart: those with low numbers are in thousands of conversations. */
const FIRST_FOLLOWER = 20_000;
const FOLLOWERS = 5000;
/** Members of a followed conversation, and conversations of a follower. */
const FOLLOWED_MEMBERS = 20;
const FOLLOWED_EACH = 5;
const CIRCLES = FOLLOWERS / FOLLOWED_MEMBERS;
const followed = many('followed', CIRCLES * FOLLOWED_EACH);

/** Who opens streams. Circles of 20 users share 5 conversations; the stream of a single one is spread over them. */
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

/** Of the first `count` followers, how many streams tell a message of this conversation. */
export function followersOf(conversation: string, kind: 'conversation' | 'account', count: number): number {
  return FOLLOWED.slice(0, count).filter(({ conversations }) =>
    kind === 'account' ? conversations.includes(conversation) : conversations[0] === conversation,
  ).length;
}

/** Makes the database that each contender gets a copy of. */
export async function seedWorld(servers: Servers, database: string): Promise<void> {
  const pool = makePool({
    url: await servers.createDatabase(database),
    max: 8,
    name: 'bench',
    statementTimeoutMs: 60_000,
  });
  try {
    const { serial, hot, spread, wide, cached, warming, warmingHot, bySize, stored, short, empty } = CONVERSATIONS;
    await seedConversations(pool, [
      { id: serial, members: 2 },
      ...[hot, warmingHot].map((id) => ({ id, members: SENDERS })),
      ...spread.map((id) => ({ id, members: 64 })),
      ...[...wide, ...cached, ...warming].map((id) => ({ id, members: 8 })),
      ...GROUP_SIZES.map((size) => ({ id: bySize[size] ?? '', members: size })),
      ...followed.map((id, i) => {
        return { id, members: FOLLOWED_MEMBERS, from: FIRST_FOLLOWER + (i % CIRCLES) * FOLLOWED_MEMBERS };
      }),
      { id: stored, members: 2 },
      { id: short, members: 2 },
      { id: empty, members: 2 },
    ]);
    await seedEntries(pool, stored, STORED_ENTRIES);
    await seedEntries(pool, short, SHORT_ENTRIES);
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
  const succeeded = ({ status, body }: { status: number; body: string }): void => {
    if (status !== 200) throw new Error(`HTTP ${status}: ${body.slice(0, 200)}`);
  };
  return {
    http,
    tokens,
    send: async (conversation, sender) => {
      succeeded(await http.post(messagesPath(conversation), token(sender), makeBody(`${prefix}-${count++}`)));
    },
    page: async (conversation, after, limit) => {
      succeeded(await http.get(`${messagesPath(conversation)}?after=${after}&limit=${limit}`, token(0)));
    },
  };
}
