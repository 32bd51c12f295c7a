import { expect, test } from 'vitest';
import type { ZodType } from 'zod';
import { ACCOUNT_EVENTS, CONVERSATION_EVENTS } from '../../../api/schemas/events.ts';
import { checkEvent } from '../../../tools/harness/event-contract.ts';

interface Sent {
  readonly event: string;
  readonly id?: string;
  readonly data: unknown;
}

test.each([
  ['conversation', CONVERSATION_EVENTS],
  ['account', ACCOUNT_EVENTS],
] as const)('each event of the %s stream has an example of its form', (stream, events) => {
  for (const [event, schema] of Object.entries<ZodType>(events)) {
    const { id, data } = schema.meta()?.example as Sent;
    checkEvent(stream, { event, id, data: JSON.stringify(data) });
  }
});

test('an event with a field that is not documented is noticed', () => {
  const data = JSON.stringify({ available: 3, more: 1 });
  expect(() => checkEvent('account', { event: 'low-stock', id: undefined, data })).toThrow('Not as documented');
  expect(() => checkEvent('conversation', { event: 'low-stock', id: undefined, data: '{}' })).toThrow(
    'Not as documented',
  );
});
