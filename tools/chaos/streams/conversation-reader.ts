import type { Entry } from '../../../client/index.ts';
import type { People } from '../load/people.ts';
import { type Follower, startFollower } from './follower.ts';
import { type Sequence, makeSequence } from './sequence.ts';

/** A user who reads one conversation live, by the stream of the conversation. */
export interface ConversationReader extends Follower {
  readonly conversation: string;
  readonly user: string;
  readonly sequence: Sequence;
  /** Of the event that says that the user was removed. */
  readonly removedSeq: () => number | undefined;
  readonly problems: readonly string[];
}

export function readConversation(people: People, conversation: string, user: string): ConversationReader {
  const sequence = makeSequence(false);
  const problems: string[] = [];
  let removedSeq: number | undefined;
  const follower = startFollower({
    next: async () => ({
      url: new URL(`/v1/conversations/${conversation}/events`, people.nextUrl()),
      headers: {
        authorization: `Bearer ${await people.token(user)}`,
        ...(sequence.last() === 0 ? {} : { 'last-event-id': String(sequence.last()) }),
      },
    }),
    onOpen: sequence.reconnected,
    onEvent: ({ event, data }) => {
      if (removedSeq !== undefined) problems.push(`${user} got ${event ?? 'an event'} after its removal`);
      if (event === 'removed') {
        removedSeq = (JSON.parse(data) as { seq: number }).seq;
        follower.stop();
      }
      if (event !== 'entry') return;
      const wrong = sequence.take(JSON.parse(data) as Entry);
      if (wrong !== undefined) problems.push(`stream of ${conversation} for ${user}: ${wrong}`);
    },
    // A user who joined a moment ago is known everywhere, so a 404 is no end.
    isEnd: () => false,
  });
  return { ...follower, conversation, user, sequence, problems, removedSeq: () => removedSeq };
}
