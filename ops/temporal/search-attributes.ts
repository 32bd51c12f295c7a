import type { Client } from '@temporalio/client';
import { SEARCH_ATTRIBUTES } from '../../domain/search-attributes.ts';

/** Time for Temporal to answer both calls. */
const CALLS_MS = 10_000;
/** `INDEXED_VALUE_TYPE_KEYWORD` (temporal.api.enums.v1). */
const KEYWORD = 2;

/** The search attributes as flags of `temporal server start-dev`, which registers those that are missing. */
export function searchAttributeFlags(): string[] {
  return Object.values(SEARCH_ATTRIBUTES).flatMap((name) => ['--search-attribute', `${name}=Keyword`]);
}

/** The command that registers them in a namespace. It may run again. */
export function registerCommand(namespace: string): string {
  const names = Object.values(SEARCH_ATTRIBUTES).map((name) => `--name ${name} --type Keyword`);
  return `temporal operator search-attribute create -n ${namespace} ${names.join(' ')}`;
}

/**
 * Registers the search attributes that the namespace of a client lacks.
 * @returns the names of those that are new
 * @throws ServiceError if Temporal does not answer, or forbids it (Temporal Cloud has its own way)
 */
export async function ensureSearchAttributes(client: Client): Promise<readonly string[]> {
  const { namespace } = client.options;
  const { operatorService } = client.connection;
  return client.withDeadline(Date.now() + CALLS_MS, async () => {
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
    const known = new Set(Object.keys(customAttributes));
    const missing = Object.values(SEARCH_ATTRIBUTES).filter((name) => !known.has(name));
    if (missing.length > 0) {
      const searchAttributes = Object.fromEntries(missing.map((name) => [name, KEYWORD]));
      await operatorService.addSearchAttributes({ namespace, searchAttributes });
    }
    return missing;
  });
}
