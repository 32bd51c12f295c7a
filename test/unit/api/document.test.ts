import { expect, test } from 'vitest';
import { documentText } from '../../../api/document-text.ts';
import type { ContractDocument } from '../../../tools/contract/document.ts';
import { faultsOf } from '../../harness/api/document-faults.ts';
import { operationOf, schemaOf } from '../../harness/api/document-parts.ts';

const text = documentText('0.0.0');
const copy = (): ContractDocument => JSON.parse(text) as ContractDocument;

test('the contract has all that generators of clients need: descriptions, marked streams, unions, no required default', () => {
  expect(faultsOf(copy())).toEqual([]);
});

/** Copies with one fault each. */
const FAULTY: readonly (readonly [string, (document: ContractDocument) => void])[] = [
  ['listMembers has no description', (document) => delete operationOf(document, 'listMembers').description],
  [
    'problemPage, parameter code has no description',
    (document) => delete operationOf(document, 'problemPage').parameters?.[0]?.description,
  ],
  [
    'readEntries, answer 200 has no description',
    (document) => delete operationOf(document, 'readEntries').responses['200']?.description,
  ],
  ['Unread has no description', (document) => (schemaOf(document, 'Unread').description = ' ')],
  [
    'NewConversation.members has no description',
    (document) => delete schemaOf(document, 'NewConversation').properties?.members?.description,
  ],
  [
    'WelcomeList.welcomes.welcome has no description',
    (document) =>
      delete schemaOf(document, 'WelcomeList').properties?.welcomes?.items?.properties?.welcome?.description,
  ],
  [
    'streamEvents is a stream and not marked with x-stream',
    (document) => delete operationOf(document, 'streamEvents')['x-stream'],
  ],
  [
    'listMembers is marked as a stream, and is none',
    (document) => (operationOf(document, 'listMembers')['x-stream'] = 'server-sent-events'),
  ],
  [
    'the event of streamAccountEvents is no union with a discriminator for each member',
    (document) => schemaOf(document, 'AccountStreamEvent').oneOf?.pop(),
  ],
  [
    'the event of streamEvents is no union with a discriminator for each member',
    (document) => {
      for (const { content } of Object.values(operationOf(document, 'streamEvents').responses))
        delete content?.['text/event-stream']?.['x-itemSchema'];
    },
  ],
  [
    'Entry is no union with a discriminator for each member',
    (document) => delete schemaOf(document, 'Entry').discriminator,
  ],
  [
    'createConversation demands members, which has a default',
    (document) => schemaOf(document, 'NewConversation').required?.push('members'),
  ],
  [
    'createConversation gives members the keyword default',
    (document) => Object.assign(schemaOf(document, 'NewConversation').properties?.members ?? {}, { default: [] }),
  ],
];

test.each(FAULTY)('a copy of the contract is faulty: %s', (fault, spoil) => {
  const document = copy();
  spoil(document);
  expect(faultsOf(document)).toContain(fault);
});
