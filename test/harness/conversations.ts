import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { afterAll, beforeAll, inject } from 'vitest';
import { type Conversations, quietRuntime, startConversations } from '../../tools/harness/conversations.ts';
import type { ConversationSettings } from '../../workflows/conversation/messages.ts';
import type { TestDatabase } from './database.ts';
import { whileTestsRun } from './while-tests-run.ts';

/** A worker and what stands before it, in this process and on the Temporal server of the run, for all tests of a file. */
export function useConversations(
  database: () => TestDatabase,
  settings: Partial<ConversationSettings> = {},
): Conversations {
  let connection: Connection | undefined;
  let native: NativeConnection | undefined;
  let conversations: Conversations | undefined;
  beforeAll(async () => {
    quietRuntime();
    const address = inject('temporalAddress');
    connection = await Connection.connect({ address });
    native = await NativeConnection.connect({ address });
    const client = new Client({ connection });
    conversations = await startConversations({ client, connection: native, pool: database().pool, settings });
  });
  afterAll(async () => {
    await conversations?.stop();
    await native?.close();
    await connection?.close();
  });
  return whileTestsRun('a worker', () => conversations);
}
