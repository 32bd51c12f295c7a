import type { AccountEvent, MlsDevice } from '../../client/index.ts';

/** A device that follows its conversations live, with the events of one of them. */
export interface Listener {
  /** `seq` of the entries, in order of arrival. */
  readonly seqs: readonly number[];
  /** Texts of the decrypted messages. */
  readonly texts: readonly string[];
  /** `seq` of the commit that removed this user; `undefined` before the stream says so. */
  readonly removedAt: () => number | undefined;
  /** Ends the stream. @throws AggregateError with the failures of the device */
  readonly stop: () => Promise<void>;
}

/** Follows `/v1/events` with a device, after the entries that it acknowledged. */
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
  running.catch(() => undefined); // stop() throws this error
  return {
    seqs,
    texts,
    removedAt: () => removedAt,
    stop: async () => {
      stop.abort();
      await running;
      if (failures.length > 0) throw new AggregateError(failures, `${device.user} could not follow the conversation`);
    },
  };
}
