import { type Html, html, inline } from './html.ts';

/** What of JSON Schema our documents use. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly example?: unknown;
  readonly default?: unknown;
  readonly contentEncoding?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

/** Fields of an object, or the type of anything else. */
export function schemaTable(schema: Schema): Html {
  const { properties, required = [], description } = schema;
  const intro = description === undefined ? '' : html`<p>${inline(description)}</p>`;
  if (properties === undefined)
    return html`${intro}
      <p>${typeOf(schema)}</p>`;
  return html`${intro}
    <table>
      ${Object.entries(properties).map(
        ([name, field]) =>
          html`<tr>
            <td><code>${name}</code></td>
            <td>${required.includes(name) ? 'required' : ''}</td>
            <td>${typeOf(field)}</td>
            <td>${inline(field.description ?? '')}</td>
          </tr>`,
      )}
    </table>`;
}

/** The type in words, with links to named schemas. */
export function typeOf(schema: Schema): Html {
  const { $ref, items, type, contentEncoding, format } = schema;
  if ($ref !== undefined) return html`<a href="#schema-${nameOf($ref)}">${nameOf($ref)}</a>`;
  const parts = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (parts !== undefined) return html`${parts.map((part, i) => html`${i > 0 && ' or '}${typeOf(part)}`)}`;
  if (items !== undefined) return html`list of ${typeOf(items)}`;
  if (schema.enum !== undefined) return html`${schema.enum.map(String).join(' | ')}`;
  return html`${contentEncoding ?? format ?? [type ?? 'any'].flat().join(' | ')}`;
}

/** An example that shows the required fields. */
export function exampleOf(schema: Schema, schemas: Readonly<Record<string, Schema>>): unknown {
  if (schema.$ref !== undefined) return exampleOf(schemas[nameOf(schema.$ref)] ?? {}, schemas);
  const [first] = schema.anyOf ?? schema.oneOf ?? schema.allOf ?? [];
  if (first !== undefined) return exampleOf(first, schemas);
  if (schema.example !== undefined) return schema.example;
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.contentEncoding !== undefined) return 'AAEAAg==';
  if (schema.items !== undefined) return [exampleOf(schema.items, schemas)];
  if (schema.properties !== undefined) {
    const { properties, required = [] } = schema;
    return Object.fromEntries(required.map((name) => [name, exampleOf(properties[name] ?? {}, schemas)]));
  }
  return schema.type === 'integer' || schema.type === 'number' ? (schema.minimum ?? 0) : 'example-1';
}

function nameOf(reference: string): string {
  return reference.slice(reference.lastIndexOf('/') + 1);
}
