import { expect, test } from 'vitest';
import { documentText } from '../../../api/document-text.ts';
import type { DocumentOperation, DocumentSchema, OpenApiText } from '../../harness/api/document-faults.ts';
import { faultsOf } from '../../harness/api/document-faults.ts';

const text = documentText('0.0.0');
const copy = (): OpenApiText => JSON.parse(text) as OpenApiText;

test('the contract has all that generators of clients need: descriptions, marked streams, unions, no required default', () => {
  expect(faultsOf(copy())).toEqual([]);
});

/** Copies with one fault each. */
const FAULTY: readonly (readonly [string, (document: OpenApiText) => void])[] = [
  ['listMembers has no description', (document) => delete operation(document, 'listMembers').description],
  [
    'problemPage, parameter code has no description',
    (document) => delete operation(document, 'problemPage').parameters?.[0]?.description,
  ],
  [
    'readEntries, answer 200 has no description',
    (document) => delete operation(document, 'readEntries').responses['200']?.description,
  ],
  ['Unread has no description', (document) => (schema(document, 'Unread').description = ' ')],
  [
    'NewConversation.members has no description',
    (document) => delete schema(document, 'NewConversation').properties?.members?.description,
  ],
  [
    'WelcomeList.welcomes.welcome has no description',
    (document) =>
      delete schema(document, 'WelcomeList').properties?.welcomes?.items?.properties?.welcome?.description,
  ],
  [
    'streamEvents is a stream and not marked with x-stream',
    (document) => delete operation(document, 'streamEvents')['x-stream'],
  ],
  [
    'listMembers is marked as a stream, and is none',
    (document) => (operation(document, 'listMembers')['x-stream'] = 'server-sent-events'),
  ],
  [
    'the event of streamAccountEvents is no union with a discriminator for each member',
    (document) => schema(document, 'AccountStreamEvent').oneOf?.pop(),
  ],
  [
    'the event of streamEvents is no union with a discriminator for each member',
    (document) => {
      for (const { content } of Object.values(operation(document, 'streamEvents').responses))
        delete content?.['text/event-stream']?.['x-itemSchema'];
    },
  ],
  [
    'Entry is no union with a discriminator for each member',
    (document) => delete schema(document, 'Entry').discriminator,
  ],
  [
    'createConversation demands members, which has a default',
    (document) => schema(document, 'NewConversation').required?.push('members'),
  ],
  [
    'createConversation gives members the keyword default',
    (document) => Object.assign(schema(document, 'NewConversation').properties?.members ?? {}, { default: [] }),
  ],
];

test.each(FAULTY)('a copy of the contract is faulty: %s', (fault, spoil) => {
  const document = copy();
  spoil(document);
  expect(faultsOf(document)).toContain(fault);
});

function operation({ paths }: OpenApiText, name: string): DocumentOperation {
  const found = Object.values(paths)
    .flatMap((item) => Object.values(item))
    .find(({ operationId }) => operationId === name);
  if (found === undefined) throw new Error(`there is no operation ${name}`);
  return found;
}

function schema({ components }: OpenApiText, name: string): DocumentSchema {
  const found = new Map(Object.entries(components.schemas)).get(name);
  if (found === undefined) throw new Error(`there is no schema ${name}`);
  return found;
}
