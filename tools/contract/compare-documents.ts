import { type Break, type Side, compareSchemas } from './compare-schemas.ts';
import type { ContractDocument, DocumentMedia, DocumentOperation, DocumentParameter } from './document.ts';

export type { Break } from './compare-schemas.ts';

type Documents = Pick<Side, 'before' | 'after'>;
type Content = Readonly<Record<string, DocumentMedia>>;

/** What breaks a client of one contract at a service of another one. Each break stands once, however many operations have it. */
export function compareDocuments(before: ContractDocument, after: ContractDocument): Break[] {
  const now = operationsOf(after);
  const breaks = [...operationsOf(before)].flatMap(([target, operation]) => {
    const other = now.get(target);
    const where = operation.operationId;
    if (other === undefined) return [{ change: 'operation-removed', where, detail: target }];
    return compareOperations({ before, after }, operation, other);
  });
  return [...new Map(breaks.map((each) => [JSON.stringify(each), each])).values()];
}

/** By method and path. Names of path parameters are no part of the contract. */
function operationsOf({ paths }: ContractDocument): Map<string, DocumentOperation> {
  return new Map(
    Object.entries(paths).flatMap(([template, item]) =>
      Object.entries(item).map(([method, operation]) => [
        `${method.toUpperCase()} ${template.replaceAll(/\{\w+\}/g, '{}')}`,
        operation,
      ]),
    ),
  );
}

function compareOperations(documents: Documents, before: DocumentOperation, after: DocumentOperation): Break[] {
  const where = before.operationId;
  const breaks: Break[] = [];
  const found = (change: string, detail: string): void => void breaks.push({ change, where, detail });
  // Generated clients have it as the name of a function.
  if (before.operationId !== after.operationId) found('operation-id-changed', after.operationId);
  if (before.security?.length === 0 && after.security?.length !== 0) found('token-required', 'was public');
  if (before['x-stream'] !== after['x-stream'] && before['x-stream'] !== undefined)
    found('stream-ended', 'is marked otherwise');
  if (after.requestBody?.required === true && before.requestBody?.required !== true)
    found('body-required', 'may be absent otherwise');
  return [
    ...breaks,
    ...compareParameters(documents, before, after),
    ...compareContents({ of: 'request', ...documents }, before.requestBody?.content, after.requestBody?.content, where),
    ...Object.entries(before.responses).flatMap(([status, { content }]) => {
      const answer = new Map(Object.entries(after.responses)).get(status);
      if (answer !== undefined)
        return compareContents({ of: 'answer', ...documents }, content, answer.content, `${where} ${status}`);
      // A problem that does not occur any more breaks nobody.
      return status.startsWith('2') ? [{ change: 'answer-removed', where, detail: status }] : [];
    }),
  ];
}

function compareParameters(documents: Documents, before: DocumentOperation, after: DocumentOperation): Break[] {
  const where = before.operationId;
  const isPath = (parameter: DocumentParameter): boolean => parameter.in === 'path';
  const keyOf = (parameter: DocumentParameter): string => `${parameter.in} ${parameter.name.toLowerCase()}`;
  const old = new Map((before.parameters ?? []).filter((each) => !isPath(each)).map((each) => [keyOf(each), each]));
  const now = new Map((after.parameters ?? []).filter((each) => !isPath(each)).map((each) => [keyOf(each), each]));
  const demanded = [...now].filter(([key, { required }]) => required === true && old.get(key)?.required !== true);
  return [
    ...demanded.map(([key]) => ({ change: 'parameter-required', where, detail: key })),
    ...[...old].flatMap(([key, { schema }]) => {
      const other = now.get(key);
      if (other === undefined) return [{ change: 'parameter-removed', where, detail: key }];
      if (schema === undefined || other.schema === undefined) return [];
      return compareSchemas({ of: 'request', ...documents }, schema, other.schema, `${where} ${key}`);
    }),
  ];
}

function compareContents(side: Side, before: Content = {}, after: Content = {}, where: string): Break[] {
  return Object.entries(before).flatMap(([type, media]) => {
    const other = new Map(Object.entries(after)).get(type);
    if (other === undefined) return [{ change: `${side.of}-media-type-removed`, where, detail: type }];
    return (['schema', 'x-itemSchema'] as const).flatMap((key) => {
      const [old, now] = [media[key], other[key]];
      return old === undefined || now === undefined ? [] : compareSchemas(side, old, now, where);
    });
  });
}
