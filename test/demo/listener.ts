import type { Http } from '../kit/http.ts';
import { follow } from '../kit/stream.ts';

/** The live stream of one conversation, noted as it arrives. */
export interface Listener {
  /** `seq` of the entries, in order of arrival. */
  readonly seqs: readonly number[];
  /** `seq` of the removing commit, once the stream said that it removed this user. */
  readonly removedAt: () => number | undefined;
  /** Ends the stream; throws what made it fail, if anything did. */
  readonly stop: () => Promise<void>;
}

/** Listens to a conversation from behind `after` on. */
export function listen(http: Http, conversation: string, after: number): Listener {
  const stop = new AbortController();
  const seqs: number[] = [];
  let removedAt: number | undefined;
  const listening = (async () => {
    for await (const event of follow(http, conversation, { after, signal: stop.signal })) {
      if (event.type === 'entry') seqs.push(event.entry.seq);
      if (event.type === 'removed') removedAt = event.seq;
    }
  })();
  listening.catch(() => undefined); // told by stop()
  return {
    seqs,
    removedAt: () => removedAt,
    stop: async () => {
      stop.abort();
      await listening;
    },
  };
}
