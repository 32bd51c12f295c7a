import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { documentText } from '../../../api/reference/document-text.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { useApi } from '../../harness/api/use-api.ts';

const { service } = useApi();

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, unknown>>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const read = (file: string): string => readFileSync(path.join(packageRoot(), file), 'utf8');
const { version } = JSON.parse(read('package.json')) as { version: string };
const document = JSON.parse(documentText(version)) as Document;
const operations = Object.entries(document.paths).flatMap(([template, item]) =>
  Object.entries(item).map(([method, operation]) => ({ template, method, operation })),
);

test('docs/openapi.json is up to date; `npm run openapi` writes it', () => {
  expect(read('docs/openapi.json')).toBe(documentText(version));
});

test('every reference leads somewhere', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)];
  expect(references.length).toBeGreaterThan(50);
  for (const [, kind = '', name = ''] of references) expect(document.components[kind]).toHaveProperty(name);
});

test('operations have ids of their own, declared path parameters, and documented answers', () => {
  const ids = operations.map(({ operation }) => operation.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { template, operation } of operations) {
    const inPath = [...template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    const declared = (operation.parameters ?? [])
      .filter((parameter) => parameter.in === 'path')
      .map(({ name }) => name);
    expect([template, declared.sort()]).toEqual([template, inPath.sort()]);
    expect(Object.keys(operation.responses).some((status) => status.startsWith('2'))).toBe(true);
  }
});

test('the surface is the one that clients are written against', () => {
  const found = operations.map(({ template, method }) => `${method.toUpperCase()} ${template}`).sort();
  expect(found).toEqual(
    [
      'GET /v1/conversations',
      'POST /v1/conversations',
      'GET /v1/conversations/{id}',
      'PATCH /v1/conversations/{id}',
      'DELETE /v1/conversations/{id}',
      'GET /v1/conversations/{id}/epoch',
      'GET /v1/conversations/{id}/events',
      'GET /v1/conversations/{id}/group-info',
      'PUT /v1/conversations/{id}/group-info',
      'POST /v1/conversations/{id}/reports',
      'POST /v1/conversations/{id}/reset',
      'GET /v1/conversations/{id}/members',
      'POST /v1/conversations/{id}/members',
      'DELETE /v1/conversations/{id}/members/{user}',
      'POST /v1/conversations/{id}/members/{user}/remove',
      'PUT /v1/conversations/{id}/members/{user}/role',
      'POST /v1/conversations/{id}/commits',
      'GET /v1/conversations/{id}/messages',
      'POST /v1/conversations/{id}/messages',
      'POST /v1/conversations/{id}/read',
      'POST /v1/conversations/{id}/unread',
      'GET /v1/key-packages',
      'POST /v1/key-packages',
      'PUT /v1/key-packages',
      'POST /v1/users/{user}/key-packages/claim',
      'GET /v1/devices',
      'DELETE /v1/devices/{device}',
      'DELETE /v1/me',
      'GET /v1/events',
      'POST /v1/ack',
      'GET /v1/welcomes',
      'POST /v1/welcomes/{id}/ack',
      'GET /v1/admin/path',
      'PUT /v1/admin/path',
      'GET /v1/admin/conversations',
      'GET /v1/admin/conversations/{id}',
      'POST /v1/admin/conversations/{id}/shutdown',
      'POST /v1/admin/conversations/{id}/restart',
      'GET /v1/admin/audit',
      'GET /health',
      'GET /health/live',
      'GET /health/ready',
      'GET /metrics',
      'GET /openapi.json',
      'GET /docs',
      'GET /docs/problems/{code}',
    ].sort(),
  );
});

test('the document is served, and a page that needs nothing but itself', async () => {
  const served = await service.ask('GET /openapi.json');
  expect(served.body).toMatchObject({ openapi: '3.1.0', paths: document.paths });
  const docs = await service.ask('GET /docs');
  expect(docs.status).toBe(200);
  for (const { operation } of operations) expect(docs.text).toContain(`id="${operation.operationId}"`);
  expect(docs.text).not.toMatch(/<script|<link|src=|https?:\/\//);
});
