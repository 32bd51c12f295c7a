import { describe, expect, test } from 'vitest';
import { documentText } from '../../../api/document-text.ts';
import { type Break, compareDocuments } from '../../../tools/contract/compare-documents.ts';
import { compareSchemas } from '../../../tools/contract/compare-schemas.ts';
import type { ContractDocument, DocumentSchema } from '../../../tools/contract/document.ts';
import { type Judged, judge } from '../../../tools/contract/meant-breaks.ts';
import { BREAKING, HARMLESS, excerptOf } from '../../harness/api/changed-contracts.ts';
import { type ReleasedContract, releasedContracts } from '../../harness/api/released-contracts.ts';

const text = documentText('0.0.0');
const today = (): ContractDocument => JSON.parse(text) as ContractDocument;

function judged({ document, meant }: ReleasedContract, after: ContractDocument): Judged<Break> {
  return judge(compareDocuments(document(), after), meant.parley, (one, where) => one.where === where);
}

describe.each(releasedContracts())('clients of $version', (released) => {
  test('work with this service, except for what is meant (docs/contracts)', () => {
    expect(judged(released, today())).toEqual({ breaks: [], unused: [] });
  });

  test.each(released.meant.parley)('have a reason for $change of $where', ({ reason }) => {
    expect(reason.length).toBeGreaterThan(20);
  });
});

test('there is a released contract', () => {
  expect(releasedContracts()).not.toEqual([]);
});

describe.each(releasedContracts().slice(-1))('the comparison with $version', ({ document }) => {
  const before = excerptOf(document());
  const found = (change: (document: ContractDocument) => void): string[] => {
    const after = excerptOf(today());
    change(after);
    return compareDocuments(before, after).map((one) => `${one.change}: ${one.where}`);
  };
  const asItIs = found(() => undefined);

  test.each(BREAKING)('finds a break: $what', ({ change, parley }) => {
    expect(asItIs).not.toContain(parley);
    expect(found(change)).toContain(parley);
  });

  test.each(HARMLESS)('finds none: $what', ({ change }) => {
    expect(found(change)).toEqual(asItIs);
  });
});

test('a property that one form of a strict union loses is a break, also when another form has it', () => {
  const form = (kind: string, ...names: string[]): DocumentSchema => ({
    type: 'object',
    properties: { kind: { type: 'string', const: kind }, ...Object.fromEntries(names.map((name) => [name, {}])) },
    required: ['kind'],
    additionalProperties: false,
  });
  const before = { oneOf: [form('text', 'body', 'note'), form('file', 'note')] };
  const after = { oneOf: [form('text', 'body'), form('file', 'note', 'size')] };
  const documents = { before: today(), after: today() };
  const changes = (of: 'request' | 'answer'): string[] =>
    compareSchemas({ of, ...documents }, before, after, 'New').map((one) => `${one.change}: ${one.where}`);
  expect(changes('request')).toEqual(['request-property-removed: New.note']);
  expect(changes('answer')).toEqual([]);
});
