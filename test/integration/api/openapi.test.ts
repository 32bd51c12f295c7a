import { readFileSync } from 'node:fs';
import path from 'node:path';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { documentText } from '../../../api/document-text.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { useApi } from '../../harness/api/use-api.ts';

const { service } = useApi();

interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, unknown>>;
}
interface Document {
  readonly openapi: string;
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const read = (file: string): string => readFileSync(path.join(packageRoot(), file), 'utf8');
const { version } = JSON.parse(read('package.json')) as { version: string };
const document = JSON.parse(documentText(version)) as Document;
const operations = Object.entries(document.paths).flatMap(([template, item]) =>
  Object.entries(item).map(([method, operation]) => ({ template, method, operation })),
);

test('docs/openapi.json is up to date (`npm run openapi` writes it)', () => {
  expect(read('docs/openapi.json')).toBe(documentText(version));
});

test('every reference points to a component', () => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)];
  expect(references.length).toBeGreaterThan(50);
  for (const [, kind = '', name = ''] of references) expect(document.components[kind]).toHaveProperty(name);
});

test('operations have unique ids, declared path parameters, and documented answers', () => {
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

test('each operation is in a group that is explained', () => {
  const groups = document.tags.map(({ name }) => name);
  const used = operations.flatMap(({ operation }) => operation.tags);
  expect([...new Set(used)].sort()).toEqual([...groups].sort());
});

test('the document lists exactly the routes that clients use', () => {
  const found = operations.map(({ template, method }) => `${method.toUpperCase()} ${template}`).sort();
  expect(found).toEqual(
    [
      'DELETE /v1/admin/users/{user}/off-boarding',
      'GET /v1/admin/users/{user}/off-boarding',
      'POST /v1/admin/users/{user}/off-boarding',
      'POST /v1/admin/external-sender/rotation',
      'GET /v1/external-sender',
      'POST /v1/admin/restored',
      'POST /v1/conversations/{id}/positions',
      'DELETE /v1/admin/conversations/{id}',
      'DELETE /v1/admin/drain',
      'GET /v1/admin/conversations/{id}/exports/{export}/entries',
      'GET /v1/admin/conversations/{id}/exports/{export}/members',
      'GET /v1/admin/conversations/{id}/history',
      'GET /v1/admin/conversations/{id}/life',
      'GET /v1/admin/drain',
      'GET /v1/admin/status',
      'GET /v1/admin/users/{user}',
      'GET /v1/admin/users/{user}/conversations',
      'POST /v1/admin/conversations/{id}/exports',
      'POST /v1/admin/drain',
      'GET /v1/consent',
      'PUT /v1/consent',
      'GET /v1/consent/requests',
      'POST /v1/consent/requests/{user}',
      'GET /v1/conversations',
      'POST /v1/conversations',
      'GET /v1/conversations/{id}',
      'PATCH /v1/conversations/{id}',
      'DELETE /v1/conversations/{id}',
      'DELETE /v1/conversations/{id}/messages/{seq}',
      'GET /v1/conversations/{id}/deletions',
      'GET /v1/unread',
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
      'POST /v1/conversations/{id}/members/{user}/bar',
      'DELETE /v1/conversations/{id}/members/{user}/bar',
      'POST /v1/conversations/{id}/commits',
      'GET /v1/conversations/{id}/messages',
      'POST /v1/conversations/{id}/messages',
      'POST /v1/conversations/{id}/read',
      'POST /v1/conversations/{id}/signals',
      'POST /v1/conversations/{id}/unread',
      'GET /v1/key-packages',
      'POST /v1/key-packages',
      'POST /v1/key-packages/claims',
      'PUT /v1/key-packages',
      'POST /v1/stream-tickets',
      'POST /v1/users/{user}/key-packages/claim',
      'GET /v1/devices',
      'DELETE /v1/devices/{device}',
      'DELETE /v1/me',
      'GET /v1/push',
      'PUT /v1/push',
      'DELETE /v1/push',
      'PUT /v1/push/muted',
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
      'GET /v1/admin/supervisor',
      'DELETE /v1/admin/audit/consistency',
      'GET /v1/admin/audit/consistency',
      'POST /v1/admin/audit/consistency',
      'PUT /v1/admin/supervisor',
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

test('the service serves the document', async () => {
  const served = await service.ask('GET /openapi.json');
  expect(served.body).toMatchObject({ openapi: '3.1.0', paths: document.paths });
});

describe('the reference page', () => {
  const SCRIPT = 'GET /docs/assets/standalone.js';

  test('refers only to this service, and shows its document', async () => {
    const { status, text } = await service.ask('GET /docs');
    expect(status).toBe(200);
    const references = [...text.matchAll(/(?:src|href|data-url)="([^"]*)"/g)].map(([, reference = '']) => reference);
    expect(references).toContain('/openapi.json');
    expect(references).toContain('/docs/assets/standalone.js');
    for (const reference of references) expect(reference).toMatch(/^(\/[^/]|data:,$)/);
    expect(text).not.toMatch(/https?:/);
  });

  test('turns off every feature that calls other servers', async () => {
    const { text } = await service.ask('GET /docs');
    const configuration = /data-configuration='([^']*)'/.exec(text)?.[1] ?? '';
    expect(JSON.parse(configuration)).toMatchObject({
      telemetry: false,
      agent: { disabled: true },
      withDefaultFonts: false,
      proxyUrl: '',
      hideClientButton: true,
      persistAuth: false,
    });
  });

  test('takes a token from the fragment of its address, and removes it from there', async () => {
    const { text } = await service.ask('GET /docs/assets/start.js');
    const open = (hash: string): { configuration: Record<string, unknown>; shown: string } => {
      const dataset = { configuration: JSON.stringify({ authentication: { preferredSecurityScheme: 'bearer' } }) };
      let shown = `/docs${hash}`;
      runInNewContext(text, {
        location: { hash, pathname: '/docs' },
        history: { replaceState: (_state: unknown, _title: string, url: string) => (shown = url) },
        document: { getElementById: () => ({ dataset }) },
      });
      return { configuration: JSON.parse(dataset.configuration) as Record<string, unknown>, shown };
    };
    expect(open('#token=aa.bb-b.c_c')).toEqual({
      configuration: {
        authentication: { preferredSecurityScheme: 'bearer', securitySchemes: { bearer: { token: 'aa.bb-b.c_c' } } },
      },
      shown: '/docs',
    });
    for (const hash of ['', '#tag/messages', '#token=', '#token=<script>']) {
      expect(open(hash)).toEqual({
        configuration: { authentication: { preferredSecurityScheme: 'bearer' } },
        shown: `/docs${hash}`,
      });
    }
  });

  test('lets a browser contact no other server', async () => {
    const policy = (await service.ask('GET /docs')).headers.get('content-security-policy') ?? '';
    const directives = policy.split(';').map((directive) => directive.split(' '));
    expect(directives).toContainEqual(['default-src', "'none'"]);
    for (const [name = '', ...sources] of directives)
      for (const source of sources) expect(["'none'", "'self'", "'unsafe-inline'", 'data:'], name).toContain(source);
    expect(directives).toContainEqual(['script-src', "'self'"]);
    expect(directives).toContainEqual(['connect-src', "'self'"]);
  });

  test.each(['GET /openapi.json', 'GET /docs/problems/not-found', 'GET /docs/assets/none.js', 'GET /health', SCRIPT])(
    'is the only page that may run scripts: %s',
    async (what) => {
      const { headers } = await service.ask(what);
      expect(headers.get('content-security-policy')).toBe(
        "default-src 'none';style-src 'unsafe-inline';frame-ancestors 'none'",
      );
    },
  );

  test('has a script that browsers cache and revalidate by its ETag', async () => {
    const first = await service.ask(SCRIPT);
    expect(first.status).toBe(200);
    expect(first.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(first.headers.get('cache-control')).toBe('public, max-age=3600');
    expect(first.text).toContain('@scalar/api-reference');
    const etag = first.headers.get('etag') ?? '';
    expect(etag).not.toBe('');
    // Without the second header Node's fetch adds `Cache-Control: no-cache`, which a browser sends only for a forced reload.
    const headers = { 'if-none-match': etag, 'cache-control': 'max-age=0' };
    const second = await service.ask(SCRIPT, { headers });
    expect([second.status, second.text.length]).toEqual([304, 0]);
    expect(service.observed.at(-1)).toEqual({ method: 'GET', route: '/docs/assets', status: 304 });
  });

  test.each(['none.js', '', '../index.js', '%2e%2e/index.js', '..%2findex.js', '%ff', 'standalone.js/'])(
    'serves no other asset: %s',
    async (name) => {
      expect((await service.ask(`GET /docs/assets/${name}`)).status).toBe(404);
    },
  );
});
