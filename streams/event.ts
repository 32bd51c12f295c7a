import type { LifeEvent } from '../domain/life-event.ts';

/** Server-sent events (WHATWG HTML, section "Server-sent events"). */

export type StreamEvent =
  | 'service'
  | 'entry'
  | 'member'
  | 'members'
  | 'welcome'
  | 'conversation'
  | 'removed'
  | 'removal-wanted'
  | 'deleted'
  | 'read'
  | 'signal'
  | 'reset'
  | 'history-truncated'
  | 'log-restarted'
  | 'low-stock'
  | 'slow-consumer'
  | 'reconnect'
  | 'replaced';

/** Events of the streams of facts (`life/`): the types of facts. */
export type FactEvent = LifeEvent['type'];

/** The text of one event. JSON contains no raw line breaks, so one data line is enough. */
export function event(name: StreamEvent | FactEvent, data: Readonly<Record<string, unknown>> = {}): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** A comment, which readers ignore. */
export const HEARTBEAT = ': \n\n';

/** A line of an event, or between two: readers wait for this time before they connect again, in milliseconds. */
export function retry(ms: number): string {
  return `retry: ${Math.round(ms)}\n`;
}
