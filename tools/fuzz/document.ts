import type { JsonSchema, Schemas } from './json-schema.ts';

export type Place = 'path' | 'query' | 'header' | 'cookie';

export interface Parameter {
  readonly name: string;
  readonly in: Place;
  readonly required?: boolean;
  readonly schema: JsonSchema;
}

/** One documented answer: its possible media types and problem codes. */
export interface DocumentedAnswer {
  readonly content: Readonly<Record<string, JsonSchema | undefined>>;
  readonly codes: ReadonlySet<string>;
}

/** One operation of the OpenAPI document. */
export interface Operation {
  readonly name: string;
  /** Upper case. */
  readonly method: string;
  /** `/v1/conversations/{id}` */
  readonly template: string;
  readonly isPublic: boolean;
  readonly parameters: readonly Parameter[];
  readonly body: JsonSchema | undefined;
  /** By status. */
  readonly answers: ReadonlyMap<number, DocumentedAnswer>;
}

/** The knowledge of the fuzzers about an API. All of it comes from the OpenAPI document. */
export interface Api {
  readonly operations: readonly Operation[];
  readonly schemas: Schemas;
}

interface RawOperation {
  readonly operationId: string;
  readonly security?: readonly unknown[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: JsonSchema }>> };
  readonly responses: Readonly<
    Record<
      string,
      { readonly description: string; readonly content?: Readonly<Record<string, { readonly schema?: JsonSchema }>> }
    >
  >;
}

interface RawDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, RawOperation>>>>;
  readonly components: { readonly schemas: Schemas };
}

/** A problem code in the description of an answer. */
const LISTED_CODE = /^`([a-z-]+)`: /gm;

/** Reads the document that a service serves. */
export async function readApi(url: string): Promise<Api> {
  const response = await fetch(new URL('/openapi.json', url));
  const { paths, components } = (await response.json()) as RawDocument;
  const operations = Object.entries(paths).flatMap(([template, item]) =>
    Object.entries(item).map(([method, operation]) => toOperation(template, method, operation)),
  );
  return { operations, schemas: components.schemas };
}

function toOperation(template: string, method: string, raw: RawOperation): Operation {
  const answers = Object.entries(raw.responses).map(([status, { description, content = {} }]) => {
    const schemas = Object.entries(content).map(([type, { schema }]) => [type, schema] as const);
    const codes = new Set([...description.matchAll(LISTED_CODE)].map(([, code = '']) => code));
    return [Number(status), { content: Object.fromEntries(schemas), codes }] as const;
  });
  return {
    name: raw.operationId,
    method: method.toUpperCase(),
    template,
    isPublic: raw.security?.length === 0,
    parameters: raw.parameters ?? [],
    body: raw.requestBody?.content['application/json']?.schema,
    answers: new Map(answers),
  };
}
