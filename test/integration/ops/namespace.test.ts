import { randomUUID } from 'node:crypto';
import { expect, inject, test } from 'vitest';
import { SEARCH_ATTRIBUTES } from '../../../domain/search-attributes.ts';
import { ensureNamespace } from '../../../ops/temporal/namespace.ts';
import { ensureSearchAttributes } from '../../../ops/temporal/search-attributes.ts';
import { makeTemporalClient } from '../../../process/temporal-client.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { useCleanup } from '../../harness/cleanup.ts';

const later = useCleanup();

test('the namespace is created once, with three days of retention, by whoever comes first', async () => {
  const namespace = `prepared-${randomUUID()}`;
  const { client, connection } = makeTemporalClient({
    address: inject('temporalAddress'),
    namespace,
    identity: 'namespace-test',
  });
  later('connection', () => connection.close());
  const created = await Promise.all([ensureNamespace(client), ensureNamespace(client), ensureNamespace(client)]);
  expect(created.filter(Boolean)).toHaveLength(1);
  expect(await ensureNamespace(client)).toBe(false);
  const { config } = await client.workflowService.describeNamespace({ namespace });
  expect(Number(config?.workflowExecutionRetentionTtl?.seconds)).toBe(72 * 3600);

  const names = Object.values(SEARCH_ATTRIBUTES);
  // A new namespace takes a moment until it can have attributes.
  await tryUntil(() => ensureSearchAttributes(client), { what: 'the search attributes are registered' });
  await waitUntil(
    async () => {
      const { customAttributes } = await client.connection.operatorService.listSearchAttributes({ namespace });
      return names.every((name) => name in customAttributes);
    },
    { what: 'the search attributes are listed' },
  );
  expect(await ensureSearchAttributes(client)).toEqual([]);
});

test('a server that is away is an error', async () => {
  const { client, connection } = makeTemporalClient({
    address: '127.0.0.1:1',
    namespace: 'any',
    identity: 'namespace-test',
  });
  later('connection', () => connection.close());
  await expect(ensureNamespace(client)).rejects.toThrow();
});
