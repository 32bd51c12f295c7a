import type { ChatMessage } from '../../client/index.ts';
import type { Notice } from './notices.ts';
import { dayNumber } from './times.ts';

/** One row of the list of messages. */
export type Row =
  | { readonly kind: 'day'; readonly key: string; readonly at: number }
  | { readonly kind: 'notice'; readonly key: string; readonly notice: Notice }
  | {
      readonly kind: 'message';
      readonly key: string;
      readonly message: ChatMessage;
      /** The first of a group of messages that one person wrote one after the other: it shows who. */
      readonly isFirst: boolean;
    };

/** Messages of one person within this time are one group. */
const GROUP_MS = 5 * 60_000;

/** The rows of a conversation: messages in the order of the log, between them days and what happened. */
export function timelineOf(messages: readonly ChatMessage[], notices: readonly Notice[]): Row[] {
  const rows: Row[] = [];
  let day: number | undefined;
  let before: ChatMessage | undefined;
  const waiting = [...notices].sort((a, b) => a.at - b.at);
  const noticesUntil = (at: number): void => {
    while (waiting[0] !== undefined && waiting[0].at <= at) {
      const [notice] = waiting.splice(0, 1);
      if (notice !== undefined) rows.push({ kind: 'notice', key: notice.id, notice });
      before = undefined;
    }
  };
  for (const message of messages) {
    noticesUntil(message.at);
    const today = dayNumber(message.at);
    if (day !== today) {
      rows.push({ kind: 'day', key: `day-${today}-${message.id}`, at: message.at });
      before = undefined;
    }
    day = today;
    const isFirst = before?.sender !== message.sender || message.at - before.at > GROUP_MS;
    rows.push({ kind: 'message', key: message.id, message, isFirst });
    before = message;
  }
  noticesUntil(Infinity);
  return rows;
}

const EMOJI = /^(?:\p{Extended_Pictographic}|\p{Regional_Indicator}{2})/u;
const MOST_LARGE = 3;
const characters = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** Up to three emoji and nothing else: they are shown large. */
export function isOnlyEmoji(text: string): boolean {
  let count = 0;
  for (const { segment } of characters.segment(text)) {
    if (segment.trim() === '') continue;
    count++;
    if (count > MOST_LARGE || !EMOJI.test(segment)) return false;
  }
  return count > 0;
}
