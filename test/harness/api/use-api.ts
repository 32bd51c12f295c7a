import type pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import type { AppDeps } from '../../../api/app.ts';
import { type InProcessApi, startInProcessApi } from '../../../tools/harness/in-process-api.ts';
import { type TestDatabase, useDatabase } from '../database.ts';
import { whileTestsRun } from '../while-tests-run.ts';
import { makeContract } from './contract.ts';

/** Starts an API in this process, whose answers are all held against the OpenAPI document. */
export function startApi(pool: pg.Pool, change: Partial<AppDeps> = {}): Promise<InProcessApi> {
  return startInProcessApi(pool, change, makeContract);
}

/** A database of a test file and an API on it, made before its first test and gone after its last. */
export interface ApiOnDatabase {
  readonly database: () => TestDatabase;
  readonly service: InProcessApi;
}

/**
 * @param change what differs from the defaults; called once the database is there
 * @param database on which to start it @default one of its own
 */
export function useApi(
  change: (database: TestDatabase) => Partial<AppDeps> = () => ({}),
  database: () => TestDatabase = useDatabase(),
): ApiOnDatabase {
  let service: InProcessApi | undefined;
  beforeAll(async () => {
    service = await startApi(database().pool, change(database()));
  });
  afterAll(() => service?.close());
  return { database, service: whileTestsRun('the API', () => service) };
}
