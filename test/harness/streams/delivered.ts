import type { Entry } from '../../../client/index.ts';
import type { EventStream } from '../../../tools/harness/event-stream.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';

/** An event of an account stream. */
export interface DeliveredEvent {
  readonly event: string;
  readonly conversation?: string;
  readonly seq?: number;
  readonly entry?: Entry;
  readonly user?: string;
  readonly change?: string;
  readonly id?: string;
  readonly [field: string]: unknown;
}

export function delivered({ events }: Pick<EventStream, 'events'>): DeliveredEvent[] {
  return events.map(({ event = '', data }) => ({ event, ...(JSON.parse(data) as object) }));
}

/** The same without the event `service`, with which each stream begins. */
export function deliveredNews(stream: Pick<EventStream, 'events'>): DeliveredEvent[] {
  return delivered(stream).filter(({ event }) => event !== 'service');
}

/**
 * The events of one conversation, one word for each: `new`, `3` (an entry), `+bob`, `-bob`, `welcome 3`, .. Users who were
 * added together come in no order; here they are sorted.
 */
export function wordsOf(stream: Pick<EventStream, 'events'>, conversation: string): string[] {
  const words: string[] = [];
  let together: string[] = [];
  const flush = (): void => {
    words.push(...together.sort());
    together = [];
  };
  for (const one of delivered(stream)) {
    // Read marks move with each message of the user, and come some time after it: `readsOf`.
    if (one.conversation !== conversation || one.event === 'read') continue;
    const word = wordOf(one);
    if (!word.startsWith('+')) flush();
    if (word.startsWith('+')) together.push(word);
    else words.push(word);
  }
  flush();
  return words;
}

function wordOf(one: DeliveredEvent): string {
  switch (one.event) {
    case 'entry':
      return String(one.entry?.seq);
    case 'member':
      if (one.change === 'role') return `${one.user}=${String(one.role)}`;
      return `${one.change === 'added' ? '+' : '-'}${one.user}`;
    case 'conversation':
      return one.change ?? '';
    case 'welcome':
    case 'removed':
    case 'deleted':
      return `${one.event} ${one.seq}`;
    case 'history-truncated':
      return `${one.event} ${String(one.oldestSeq)}`;
    default:
      return one.event;
  }
}

export function seqsOf(stream: Pick<EventStream, 'events'>, conversation: string): number[] {
  return delivered(stream).flatMap((one) =>
    one.event === 'entry' && one.conversation === conversation && one.entry !== undefined ? [one.entry.seq] : [],
  );
}

/** The read marks that a stream told: `3:1` = read up to entry 3, and 1 is unread. */
export function readsOf(stream: Pick<EventStream, 'events'>, conversation: string): string[] {
  return delivered(stream).flatMap((one) =>
    one.event === 'read' && one.conversation === conversation ? [`${one.seq}:${String(one.unread)}`] : [],
  );
}

/** Waits until exactly these events of a conversation were delivered. */
export async function untilDelivered(
  stream: Pick<EventStream, 'events'>,
  conversation: string,
  words: readonly string[],
): Promise<void> {
  const expected = words.join(' ');
  await waitUntil(() => wordsOf(stream, conversation).join(' ') === expected, { what: 'it is delivered' }).catch(() => {
    throw new Error(`Delivered: ${wordsOf(stream, conversation).join(' ')}; expected: ${expected}`);
  });
}

export async function untilEnd(stream: EventStream, timeoutMs = 30_000): Promise<DeliveredEvent | undefined> {
  await waitUntil(() => stream.endedAt() !== undefined, { what: 'the stream ends', timeoutMs });
  return delivered(stream).at(-1);
}
