import type {
  ContractDocument,
  Described,
  DocumentOperation,
  DocumentSchema,
} from '../../../tools/contract/document.ts';

const STREAM = 'text/event-stream';
const STATED_DEFAULT = 'Default: `';

/** What generators of clients, and readers of their code, would miss in a document. Empty = nothing. */
export function faultsOf(document: ContractDocument): string[] {
  const { schemas } = document.components;
  const named = (ref: string): DocumentSchema | undefined =>
    new Map(Object.entries(schemas)).get(ref.replace('#/components/schemas/', ''));
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item));
  return [
    ...operations.flatMap(undescribed),
    ...Object.entries(schemas).flatMap(([name, schema]) => undescribedIn(schema, name)),
    ...operations.flatMap((operation) => streamFaults(operation, named)),
    ...operations.flatMap((operation) => bodyFaults(operation, named)),
    ...unionFaults(schemas.Entry, 'Entry'),
  ];
}

function undescribed(operation: DocumentOperation): string[] {
  const { operationId, parameters = [], responses } = operation;
  const parts: (readonly [string, Described])[] = [
    [operationId, operation],
    ...parameters.map((parameter) => [`${operationId}, parameter ${parameter.name}`, parameter] as const),
    ...Object.entries(responses).map(([status, response]) => [`${operationId}, answer ${status}`, response] as const),
  ];
  return parts.flatMap(([name, part]) => (isEmpty(part) ? [`${name} has no description`] : []));
}

/** A reference has the description of its target. */
function undescribedIn(schema: DocumentSchema, name: string): string[] {
  const properties = Object.entries(schema.properties ?? {});
  return [
    ...(schema.$ref === undefined && isEmpty(schema) ? [`${name} has no description`] : []),
    ...properties.flatMap(([property, inner]) => undescribedIn(inner, `${name}.${property}`)),
    ...innerSchemas(schema).flatMap((inner) => insideOf(inner, name)),
  ];
}

/** The members of a list or of a union need no text of their own, and what is in them does. */
function insideOf(schema: DocumentSchema, name: string): string[] {
  const properties = Object.entries(schema.properties ?? {});
  return [
    ...properties.flatMap(([property, inner]) => undescribedIn(inner, `${name}.${property}`)),
    ...innerSchemas(schema).flatMap((inner) => insideOf(inner, name)),
  ];
}

function innerSchemas({ items, additionalProperties, oneOf, anyOf, allOf }: DocumentSchema): DocumentSchema[] {
  const values = typeof additionalProperties === 'object' ? [additionalProperties] : [];
  return [...(items === undefined ? [] : [items]), ...values, ...(oneOf ?? []), ...(anyOf ?? []), ...(allOf ?? [])];
}

type Named = (ref: string) => DocumentSchema | undefined;

function streamFaults(operation: DocumentOperation, named: Named): string[] {
  const { operationId, responses } = operation;
  const stream = Object.values(responses).flatMap(({ content = {} }) =>
    STREAM in content ? [content[STREAM]] : [],
  )[0];
  const isMarked = operation['x-stream'] === 'server-sent-events';
  if (stream === undefined) return isMarked ? [`${operationId} is marked as a stream, and is none`] : [];
  const ref = stream['x-itemSchema']?.$ref ?? '';
  return [
    ...(isMarked ? [] : [`${operationId} is a stream and not marked with x-stream`]),
    ...unionFaults(named(ref), `the event of ${operationId}`),
  ];
}

/** A union whose members a generated client tells apart by one property. */
function unionFaults(schema: DocumentSchema | undefined, name: string): string[] {
  const members = (schema?.oneOf ?? []).map(({ $ref }) => $ref ?? 'a member without a name').sort();
  const mapped = [...new Set(Object.values(schema?.discriminator?.mapping ?? {}))].sort();
  const isUnion = members.length > 0 && members.join() === mapped.join();
  return isUnion ? [] : [`${name} is no union with a discriminator for each member`];
}

/** Also in what the body refers to. A schema may refer to itself. */
function bodyFaults({ operationId, requestBody }: DocumentOperation, named: Named): string[] {
  const seen = new Set<DocumentSchema>();
  const visit = (schema: DocumentSchema | undefined): string[] => {
    if (schema === undefined || seen.has(schema)) return [];
    seen.add(schema);
    const { $ref, properties = {}, required = [] } = schema;
    const demanded = Object.entries(properties)
      .filter(([name, property]) => required.includes(name) && hasDefault(property))
      .map(([name]) => `${operationId} demands ${name}, which has a default`);
    // Generators take a property with this keyword for one that is always there.
    const keywords = Object.entries(properties)
      .filter(([, property]) => 'default' in property)
      .map(([name]) => `${operationId} gives ${name} the keyword default`);
    const inner = [...Object.values(properties), ...innerSchemas(schema)];
    const referred = $ref === undefined ? [] : visit(named($ref));
    return [...demanded, ...keywords, ...referred, ...inner.flatMap(visit)];
  };
  return Object.values(requestBody?.content ?? {}).flatMap(({ schema }) => visit(schema));
}

function hasDefault(schema: DocumentSchema): boolean {
  return 'default' in schema || schema.description?.includes(STATED_DEFAULT) === true;
}

function isEmpty({ description = '' }: Described): boolean {
  return description.trim() === '';
}
