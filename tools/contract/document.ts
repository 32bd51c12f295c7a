/** What has a description. */
export interface Described {
  description?: string;
}

/** A schema in an OpenAPI 3.1 document, as far as tools here read it. */
export interface DocumentSchema extends Described {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  pattern?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  properties?: Record<string, DocumentSchema>;
  required?: string[];
  items?: DocumentSchema;
  additionalProperties?: DocumentSchema | boolean;
  oneOf?: DocumentSchema[];
  anyOf?: DocumentSchema[];
  allOf?: DocumentSchema[];
  discriminator?: { propertyName: string; mapping: Record<string, string> };
}

export interface DocumentMedia {
  schema?: DocumentSchema;
  /** Of a stream: one event. */
  'x-itemSchema'?: DocumentSchema;
}

export interface DocumentParameter extends Described {
  name: string;
  in: string;
  required?: boolean;
  schema?: DocumentSchema;
}

export interface DocumentOperation extends Described {
  operationId: string;
  'x-stream'?: string;
  security?: unknown[];
  parameters?: DocumentParameter[];
  requestBody?: { required?: boolean; content: Record<string, DocumentMedia> };
  responses: Record<string, Described & { content?: Record<string, DocumentMedia> }>;
}

/** An OpenAPI 3.1 document. */
export interface ContractDocument {
  paths: Record<string, Record<string, DocumentOperation>>;
  components: { schemas: Record<string, DocumentSchema> };
}

const COMPONENTS = '#/components/schemas/';

/** The name of the component that a schema refers to. */
export function componentOf({ $ref }: DocumentSchema): string | undefined {
  return $ref?.startsWith(COMPONENTS) === true ? $ref.slice(COMPONENTS.length) : undefined;
}

/** The schema itself: that of the component if it is a reference. @throws Error if there is no such component */
export function resolved(schema: DocumentSchema, document: Pick<ContractDocument, 'components'>): DocumentSchema {
  const name = componentOf(schema);
  if (name === undefined) return schema;
  const found = new Map(Object.entries(document.components.schemas)).get(name);
  if (found === undefined) throw new Error(`the document has no schema ${name}`);
  return resolved(found, document);
}
