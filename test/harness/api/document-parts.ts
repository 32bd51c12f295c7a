import type { ContractDocument, DocumentOperation, DocumentSchema } from '../../../tools/contract/document.ts';

/** An operation by its operationId. */
export function operationOf({ paths }: ContractDocument, name: string): DocumentOperation {
  const found = Object.values(paths)
    .flatMap((item) => Object.values(item))
    .find(({ operationId }) => operationId === name);
  if (found === undefined) throw new Error(`there is no operation ${name}`);
  return found;
}

/** A schema by its name. */
export function schemaOf({ components }: ContractDocument, name: string): DocumentSchema {
  const found = new Map(Object.entries(components.schemas)).get(name);
  if (found === undefined) throw new Error(`there is no schema ${name}`);
  return found;
}

/** A property of a schema. */
export function propertyOf(document: ContractDocument, name: string, property: string): DocumentSchema {
  const found = new Map(Object.entries(schemaOf(document, name).properties ?? {})).get(property);
  if (found === undefined) throw new Error(`${name} has no property ${property}`);
  return found;
}
