import type { ParleyClient } from './parley-client.ts';
import type { ConversationSummary } from './types.ts';

/** What a device knows of its user's conversations. It keeps this between two calls of {@link syncConversations}; all of it is JSON. */
export interface KnownConversations {
  /** What to ask the service for next time; '' = everything. */
  readonly since: string;
  readonly conversations: readonly ConversationSummary[];
}

/** What {@link syncConversations} found out. */
export interface SyncedConversations {
  /** To be kept for the next time. */
  readonly known: KnownConversations;
  /** Those that the service listed: new, or perhaps changed. `position` and `unread` say whether a device has to read there. */
  readonly changed: readonly ConversationSummary[];
  /** Ids of those that are not listed any more: deleted for everybody, or left more than 30 days ago. */
  readonly gone: readonly string[];
}

/** Conversations of one request. */
const PAGE = 1000;

/**
 * Brings what a device knows of its conversations up to date with few requests: it asks for what changed since the last time. When the
 * number of conversations does not agree (one was deleted), and when the service does not know the last time any more (it was restored
 * from a backup), everything is listed.
 * @throws ProblemError if the service refuses; then what was known stays right for the next try
 */
export async function syncConversations(
  api: Pick<ParleyClient, 'conversations'>,
  known: KnownConversations = { since: '', conversations: [] },
): Promise<SyncedConversations> {
  const changed = new Map<string, ConversationSummary>();
  let current: KnownConversations = known;
  // What changes during a list makes numbers differ: a second list of changes brings it. After that only a deletion is left.
  for (const isLast of [false, true]) {
    const list = await listSince(api, current.since);
    for (const [id, summary] of list.conversations) changed.set(id, summary);
    current = merge(current, list);
    const members = current.conversations.filter(({ role }) => role !== 'removed').length;
    if (list.isFull || members === list.total) break;
    if (isLast) {
      const everything = await listSince(api, '');
      for (const [id, summary] of everything.conversations) changed.set(id, summary);
      current = merge(current, everything);
    }
  }
  const present = new Set(current.conversations.map(({ id }) => id));
  return {
    known: current,
    changed: [...changed.values()].filter(({ id }) => present.has(id)),
    gone: known.conversations.map(({ id }) => id).filter((id) => !present.has(id)),
  };
}

interface List {
  readonly conversations: ReadonlyMap<string, ConversationSummary>;
  readonly isFull: boolean;
  readonly since: string;
  readonly total: number | undefined;
}

async function listSince(api: Pick<ParleyClient, 'conversations'>, changedSince: string): Promise<List> {
  const conversations = new Map<string, ConversationSummary>();
  let isFull = false;
  for (let cursor: string | undefined; ;) {
    const page = await api.conversations({ changedSince, limit: PAGE, ...(cursor === undefined ? {} : { cursor }) });
    if (page.full === true) {
      // It begins anew: what was listed before is of a state that is no more.
      conversations.clear();
      isFull = true;
    }
    for (const summary of page.conversations) conversations.set(summary.id, summary);
    cursor = page.next;
    if (cursor === undefined) return { conversations, isFull, since: page.changedSince ?? '', total: page.total };
  }
}

function merge(known: KnownConversations, { conversations, isFull, since }: List): KnownConversations {
  if (isFull) return { since, conversations: [...conversations.values()] };
  const merged = new Map(known.conversations.map((summary) => [summary.id, summary]));
  for (const [id, summary] of conversations) merged.set(id, summary);
  return { since, conversations: [...merged.values()] };
}
