import type { TestProject } from 'vitest/node';
import { createCleanup } from '../../process/cleanup.ts';
import { asAdmin } from '../../local/database-copy.ts';
import { startServers } from '../../tools/harness/servers.ts';
import { makeRunFolder } from './run-folder.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** URL of the maintenance database of the one Postgres of this run. */
    postgresUrl: string;
    /** Name of the migrated database that tests clone. */
    templateDatabase: string;
    /** Address of the one Temporal server of this run. */
    temporalAddress: string;
  }
}

/**
 * One Postgres and one Temporal server for the whole run. `TEST_DATABASE_URL` (a maintenance database, with the right to
 * create databases) and `TEST_TEMPORAL_ADDRESS` name servers to use instead.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cleanup = createCleanup();
  try {
    const run = makeRunFolder();
    cleanup.add('run folder', () => run.end());
    const servers = await startServers({
      say: (line) => void process.stderr.write(`${line}\n`),
      durable: false,
      postgresUrl: given('TEST_DATABASE_URL'),
      temporalAddress: given('TEST_TEMPORAL_ADDRESS'),
    });
    cleanup.add('servers', () => servers.stop());
    const templateDatabase = `parley_template_${process.pid}`;
    await servers.createDatabase(templateDatabase);
    cleanup.add('template', () =>
      asAdmin(servers.postgresUrl, async (client) => {
        await client.query(`drop database if exists ${templateDatabase} with (force)`);
      }),
    );
    project.provide('postgresUrl', servers.postgresUrl);
    project.provide('templateDatabase', templateDatabase);
    project.provide('temporalAddress', servers.temporalAddress);
  } catch (error) {
    await cleanup.run();
    throw error;
  }
  return async () => {
    try {
      await cleanup.run();
    } catch (error) {
      // Vitest only prints what a teardown throws.
      process.exitCode = 1;
      throw error;
    }
  };
}

function given(name: string): string | undefined {
  const value = process.env[name] ?? '';
  return value === '' ? undefined : value;
}
