import { PROBLEMS, type ProblemCode } from '../../domain/errors.ts';
import type { Route } from '../http/route.ts';
import { type Html, html, inline, page } from './html.ts';
import { type OpenApiDocument, problemCodes } from './openapi.ts';
import { type Schema, exampleOf, schemaTable, typeOf } from './schema-table.ts';

/** Everything of the API on one page, made from the OpenAPI document. */
export function referencePage(routes: readonly Route[], document: OpenApiDocument): string {
  const tags = [...new Set(routes.map(({ tag }) => tag))];
  const schemas = (document.components?.schemas ?? {}) as Readonly<Record<string, Schema>>;
  return page(
    'Parley API',
    html`<h1>Parley API ${document.info.version}</h1>
      <p>${inline(document.info.description ?? '')}</p>
      <nav>
        ${tags.map((tag) => html`<a href="#${tag}">${tag}</a> `)}<a href="#schemas">Schemas</a>
        <a href="#problems">Problems</a> <a href="/openapi.json">OpenAPI</a>
      </nav>
      <p>
        Routes take <code>Authorization: Bearer</code> with a JWT: <code>sub</code> is the user, <code>device</code> the
        device, <code>scope</code> holds <code>operator</code> for operators.
      </p>
      ${tags.map(
        (tag) =>
          html`<h2 id="${tag}">${tag}</h2>
            ${routes.filter((route) => route.tag === tag).map((route) => operation(route, document, schemas))}`,
      )}
      <h2 id="schemas">Schemas</h2>
      ${Object.entries(schemas).map(
        ([name, schema]) =>
          html`<h3 id="schema-${name}">${name}</h3>
            ${schemaTable(schema)}`,
      )}
      <h2 id="problems">Problems</h2>
      ${problemTable(Object.keys(PROBLEMS) as ProblemCode[])}`,
  );
}

/** What of a path item this page shows. */
interface Operation {
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema?: Schema;
  }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: Schema }>> };
  readonly responses?: Readonly<
    Record<string, { readonly description: string; readonly content?: Readonly<Record<string, { schema?: Schema }>> }>
  >;
}

function operation(route: Route, document: OpenApiDocument, schemas: Readonly<Record<string, Schema>>): Html {
  const found = document.paths?.[route.path] as Readonly<Record<string, Operation>> | undefined;
  const { parameters = [], requestBody, responses = {} } = found?.[route.method] ?? {};
  const body = requestBody?.content['application/json']?.schema;
  return html`<details id="${route.name}">
    <summary><b>${route.method.toUpperCase()}</b> <code>${route.path}</code> ${inline(route.summary)}</summary>
    ${route.description !== undefined && html`<p>${inline(route.description)}</p>`}
    ${
      parameters.length > 0 &&
      html`<table>
        ${parameters.map(
          (parameter) =>
            html`<tr>
              <td><code>${parameter.name}</code></td>
              <td>${parameter.in}${parameter.required === true ? ', required' : ''}</td>
              <td>${typeOf(parameter.schema ?? {})}</td>
              <td>${inline(parameter.description ?? parameter.schema?.description ?? '')}</td>
            </tr>`,
        )}
      </table>`
    }
    ${body !== undefined && html`<p>Body: ${typeOf(body)}</p>`}
    <ul>
      ${Object.keys(route.replies).map((status) => {
        const response = responses[status];
        const schema = Object.values(response?.content ?? {})[0]?.schema;
        return html`<li>
          ${status}: ${inline(response?.description ?? '')} ${schema !== undefined && typeOf(schema)}
        </li>`;
      })}
    </ul>
    <pre>${curl(route, body, schemas)}</pre>
    ${problemTable(problemCodes(route))}
  </details>`;
}

function curl(route: Route, body: Schema | undefined, schemas: Readonly<Record<string, Schema>>): string {
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => `$${name.toUpperCase()}`);
  const lines = [`curl -X ${route.method.toUpperCase()} "$PARLEY_URL${path}"`];
  if (route.access !== 'public') lines.push('-H "Authorization: Bearer $TOKEN"');
  if (body !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(exampleOf(body, schemas))}'`);
  }
  return lines.join(' \\\n  ');
}

function problemTable(codes: readonly ProblemCode[]): Html {
  return html`<table>
    ${codes.map(
      (code) =>
        html`<tr>
          <td>${PROBLEMS[code].status}</td>
          <td><a href="/docs/problems/${code}">${code}</a></td>
          <td>${PROBLEMS[code].title}</td>
        </tr>`,
    )}
  </table>`;
}
