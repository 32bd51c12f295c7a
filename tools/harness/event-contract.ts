import type { EventSourceMessage } from 'eventsource-parser';
import { AccountStreamEvent, ConversationStreamEvent } from '../../api/schemas/events.ts';
import { LifeStreamEvent } from '../../api/schemas/life.ts';

const SCHEMAS = { conversation: ConversationStreamEvent, account: AccountStreamEvent, life: LifeStreamEvent };
/** The streams that there are. */
export type StreamKind = keyof typeof SCHEMAS;

/**
 * Holds an event that a stream sent against the OpenAPI document.
 * @throws Error if it has another form than documented; also at a field that the document does not have
 */
export function checkEvent(stream: StreamKind, { event, id, data }: EventSourceMessage): void {
  const sent = { event, ...(id === undefined ? {} : { id }), data: JSON.parse(data) as unknown };
  const known = SCHEMAS[stream].safeParse(sent);
  // Schemas of answers drop unknown fields. The service and its schemas have their fields in different orders.
  if (known.success && canonical(known.data) === canonical(sent)) return;
  throw new Error(`Not as documented: ${JSON.stringify(sent)}${known.success ? '' : `: ${known.error.message}`}`);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
