import type { MlsDevice } from '../../client/device/device.ts';
import type { AccountEvent } from '../../client/api/account-stream.ts';

/** A device that follows its conversations live, and what happened to one of them. */
export interface Listener {
  /** `seq` of the entries, in order of arrival. */
  readonly seqs: readonly number[];
  /** Texts it decrypted on the way. */
  readonly texts: readonly string[];
  /** `seq` of the removing commit, once the stream said that it removed this user. */
  readonly removedAt: () => number | undefined;
  /** Ends the stream; throws what made it fail, if anything did. */
  readonly stop: () => Promise<void>;
}

/** Follows `/v1/events` with a device, from behind what it acknowledged. */
export async function listen(device: MlsDevice, conversation: string): Promise<Listener> {
  await device.ack();
  const stop = new AbortController();
  const seqs: number[] = [];
  const texts: string[] = [];
  const failures: unknown[] = [];
  let removedAt: number | undefined;
  const onEvent = (event: AccountEvent): void => {
    if (!('conversation' in event) || event.conversation !== conversation) return;
    if (event.type === 'entry') seqs.push(event.entry.seq);
    if (event.type === 'removed') removedAt = event.seq;
  };
  const running = device.run({
    signal: stop.signal,
    onEvent,
    onMessage: (_group, { text }) => void texts.push(text),
    onError: (error) => void failures.push(error),
  });
  running.catch(() => undefined); // told by stop()
  return {
    seqs,
    texts,
    removedAt: () => removedAt,
    stop: async () => {
      stop.abort();
      await running;
      if (failures.length > 0) throw new AggregateError(failures, `${device.user} could not follow`);
    },
  };
}
