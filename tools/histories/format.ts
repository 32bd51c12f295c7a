import { type History, type PlainHistory, historyFromPlain, historyToPlain } from '../../dispatch/history-json.ts';

export type { History } from '../../dispatch/history-json.ts';

/** JSON that people can read and compare: bytes in base64, enums by name. */
export function historyToText(history: History): string {
  return `${JSON.stringify(historyToPlain(history), null, 1)}\n`;
}

export function historyFromText(text: string): History {
  return historyFromPlain(JSON.parse(text) as PlainHistory);
}
