import type { ContractDocument } from '../../../tools/contract/document.ts';
import { operationOf, propertyOf, schemaOf } from './document-parts.ts';

/** A change of the contract of today, and the names that the comparisons give to its break. */
export interface ContractChange {
  readonly what: string;
  readonly change: (document: ContractDocument) => void;
  /** Of the comparison of this repository. */
  readonly parley: string;
  readonly oasdiff: string;
}

/** The paths that the changes below concern: a comparison of a few is quick. */
const PATHS = [
  '/v1/conversations',
  '/v1/conversations/{id}',
  '/v1/conversations/{id}/messages',
  '/v1/conversations/{id}/members',
  '/v1/devices/{device}',
];

/** A contract with only the paths that the changes here concern. */
export function excerptOf({ paths, ...rest }: ContractDocument): ContractDocument {
  return { ...rest, paths: Object.fromEntries(Object.entries(paths).filter(([path]) => PATHS.includes(path))) };
}

/** Changes that break a client of 0.2.0. */
export const BREAKING: readonly ContractChange[] = [
  {
    what: 'an operation is gone',
    change: ({ paths }) => delete paths['/v1/devices/{device}'],
    parley: 'operation-removed: forgetDevice',
    oasdiff: 'api-path-removed-without-deprecation',
  },
  {
    what: 'an operation has another name',
    change: (document) => (operationOf(document, 'listMembers').operationId = 'getMembers'),
    parley: 'operation-id-changed: listMembers',
    oasdiff: 'api-operation-id-removed',
  },
  {
    what: 'a property of an answer is gone',
    change: (document: ContractDocument): void => {
      const details = schemaOf(document, 'ConversationDetails');
      delete details.properties?.epoch;
      details.required = details.required?.filter((name) => name !== 'epoch') ?? [];
    },
    parley: 'answer-property-removed: ConversationDetails.epoch',
    oasdiff: 'response-required-property-removed',
  },
  {
    what: 'a property of an answer may be absent',
    change: (document: ContractDocument): void => {
      const details = schemaOf(document, 'ConversationDetails');
      details.required = details.required?.filter((name) => name !== 'epoch') ?? [];
    },
    parley: 'answer-property-optional: ConversationDetails.epoch',
    oasdiff: 'response-property-became-optional',
  },
  {
    what: 'a property of an answer has another type',
    change: (document) => (propertyOf(document, 'ConversationDetails', 'epoch').type = 'string'),
    parley: 'answer-type-changed: ConversationDetails.epoch',
    oasdiff: 'response-property-type-changed',
  },
  {
    what: 'a value of an answer is gone',
    change: (document) => (propertyOf(document, 'ConversationDetails', 'role').enum = ['admin', 'member']),
    parley: 'answer-value-removed: ConversationDetails.role',
    oasdiff: 'response-property-enum-value-removed',
  },
  {
    what: 'an answer has a new value',
    change: (document) => propertyOf(document, 'ConversationDetails', 'role').enum?.push('guest'),
    parley: 'answer-value-added: ConversationDetails.role',
    oasdiff: 'response-property-enum-value-added',
  },
  {
    what: 'a request has a new property that it must have',
    change: (document: ContractDocument): void => {
      const body = schemaOf(document, 'NewConversation');
      Object.assign(body.properties ?? {}, { purpose: { type: 'string' } });
      body.required?.push('purpose');
    },
    parley: 'request-property-required: NewConversation.purpose',
    oasdiff: 'new-required-request-property',
  },
  {
    what: 'a property of a request must be there',
    change: (document) => schemaOf(document, 'NewConversation').required?.push('protocol'),
    parley: 'request-property-required: NewConversation.protocol',
    oasdiff: 'request-property-became-required',
  },
  {
    what: 'a property of a request is gone',
    change: (document) => delete schemaOf(document, 'NewConversation').properties?.members,
    parley: 'request-property-removed: NewConversation.members',
    oasdiff: 'request-property-removed',
  },
  {
    what: 'a request refuses a value',
    change: (document) => (propertyOf(document, 'NewConversation', 'protocol').enum = ['mls']),
    parley: 'request-value-refused: NewConversation.protocol',
    oasdiff: 'request-property-enum-value-removed',
  },
  {
    what: 'a request takes less',
    change: (document) => (propertyOf(document, 'NewConversation', 'members').maxItems = 9),
    parley: 'request-bound-tightened: NewConversation.members',
    oasdiff: 'request-property-max-items-decreased',
  },
  {
    what: 'a parameter is gone',
    change: (document: ContractDocument): void => {
      const operation = operationOf(document, 'readEntries');
      operation.parameters = operation.parameters?.filter(({ name }) => name !== 'kind') ?? [];
    },
    parley: 'parameter-removed: readEntries',
    oasdiff: 'request-parameter-removed',
  },
  {
    what: 'there is a parameter that must be there',
    change: (document) =>
      operationOf(document, 'readEntries').parameters?.push({
        name: 'why',
        in: 'query',
        required: true,
        schema: { type: 'string' },
      }),
    parley: 'parameter-required: readEntries',
    oasdiff: 'new-required-request-parameter',
  },
  {
    what: 'a successful answer is gone',
    change: (document: ContractDocument): void => {
      const { responses } = operationOf(document, 'createConversation');
      responses['202'] = responses['201'] ?? {};
      delete responses['201'];
    },
    parley: 'answer-removed: createConversation',
    oasdiff: 'response-success-status-removed',
  },
];

/** Changes that break nobody. */
export const HARMLESS: readonly Pick<ContractChange, 'what' | 'change'>[] = [
  {
    what: 'a request is less strict',
    change: (document: ContractDocument): void => {
      const body = schemaOf(document, 'NewConversation');
      body.required = [];
      Object.assign(body.properties ?? {}, { purpose: { type: 'string', description: 'Why' } });
      propertyOf(document, 'NewConversation', 'protocol').enum?.push('other');
      delete propertyOf(document, 'NewConversation', 'members').maxItems;
    },
  },
  {
    what: 'an answer has a new property',
    change: (document: ContractDocument): void => {
      const details = schemaOf(document, 'ConversationDetails');
      Object.assign(details.properties ?? {}, { purpose: { type: 'string', description: 'Why' } });
      details.required?.push('purpose');
    },
  },
  {
    what: 'there is a new operation',
    change: (document: ContractDocument): void => {
      document.paths['/v1/again'] = { get: { ...operationOf(document, 'listMembers'), operationId: 'again' } };
    },
  },
  {
    what: 'a text is better',
    change: (document) => (propertyOf(document, 'NewConversation', 'members').description = 'Better'),
  },
];
