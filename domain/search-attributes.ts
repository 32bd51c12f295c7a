import type { ConversationFacts } from './decision.ts';

/**
 * Names of the search attributes of conversation runs. Temporal's lists can be filtered by them. All are of the type Keyword. The
 * values are never encrypted, so none of them is an id.
 */
export const SEARCH_ATTRIBUTES = {
  /** `mls` or `opaque`. */
  protocol: 'ParleyProtocol',
  /** One of {@link CONVERSATION_STATES}. */
  state: 'ParleyState',
  /** One of {@link RUN_TROUBLES}; absent = the run is well. */
  trouble: 'ParleyTrouble',
  /** Number of members, as one of {@link MEMBER_BUCKETS}. */
  members: 'ParleyMembers',
} as const;
export type SearchAttribute = keyof typeof SEARCH_ATTRIBUTES;

/** `empty` = nobody is a member any more. */
export const CONVERSATION_STATES = ['active', 'empty', 'deleted'] as const;

/**
 * Why a run could not decide, several times in a row.
 * - `infrastructure`: Postgres did not answer
 * - `blocked`: a session of the database holds the row of the conversation
 * - `defect`: a new try would fail again
 */
export const RUN_TROUBLES = ['infrastructure', 'blocked', 'defect'] as const;
export type RunTrouble = (typeof RUN_TROUBLES)[number];

const BUCKETS = [
  { name: '0', most: 0 },
  { name: '1-2', most: 2 },
  { name: '3-10', most: 10 },
  { name: '11-100', most: 100 },
  { name: '101-1000', most: 1000 },
] as const;
const LARGEST = '1001+';
export const MEMBER_BUCKETS = [...BUCKETS.map(({ name }) => name), LARGEST] as const;

/** What of a conversation stands in its search attributes. */
export type AttributedFacts = Pick<ConversationFacts, 'protocol' | 'memberCount'>;

/** The values for a conversation that exists. */
export function attributesOf({
  protocol,
  memberCount,
}: AttributedFacts): Record<'protocol' | 'state' | 'members', string> {
  return { protocol, state: memberCount === 0 ? 'empty' : 'active', members: bucketOf(memberCount) };
}

function bucketOf(members: number): string {
  return BUCKETS.find(({ most }) => members <= most)?.name ?? LARGEST;
}
