import { type Entry, ParleyClient } from '../../../client/index.ts';
import type { People } from '../load/people.ts';
import { type Follower, startFollower } from './follower.ts';
import { type Sequence, makeSequence } from './sequence.ts';

/** A device that reads all its conversations live, and acknowledges what it has read. */
export interface AccountReader extends Follower {
  readonly user: string;
  readonly sequences: ReadonlyMap<string, Sequence>;
  readonly problems: readonly string[];
}

/** It acknowledges after so many entries. */
const ACKNOWLEDGE_AFTER = 200;

export function readAccount(people: People, user: string, device: string): AccountReader {
  const sequences = new Map<string, Sequence>();
  const problems: string[] = [];
  const client = new ParleyClient(people.http(user, device));
  let taken = 0;
  const acknowledge = (): void => {
    const positions = Object.fromEntries([...sequences].map(([id, sequence]) => [id, sequence.last()]));
    // It only saves repeats: a failed one is made good by the next.
    client.ack(positions).catch(() => undefined);
  };
  const follower = startFollower({
    next: async () => ({
      url: new URL('/v1/events', people.nextUrl()),
      headers: { authorization: `Bearer ${await people.token(user, device)}` },
    }),
    onOpen: () => {
      for (const sequence of sequences.values()) sequence.reconnected();
    },
    onEvent: ({ event, data }) => {
      if (event !== 'entry') return;
      const { conversation, entry } = JSON.parse(data) as { conversation: string; entry: Entry };
      const sequence = sequences.get(conversation) ?? makeSequence(true);
      sequences.set(conversation, sequence);
      const wrong = sequence.take(entry);
      if (wrong !== undefined) problems.push(`account stream of ${user}, ${conversation}: ${wrong}`);
      if (++taken % ACKNOWLEDGE_AFTER === 0) acknowledge();
    },
    isEnd: () => false,
  });
  return { ...follower, user, sequences, problems };
}
