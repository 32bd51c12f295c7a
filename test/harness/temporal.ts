import { Client, Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { afterAll, beforeAll, inject } from 'vitest';
import { quietRuntime } from '../../tools/harness/conversations.ts';

/** Connections to Temporal for a test file. */
export function useTemporal(): () => { readonly client: Client; readonly native: NativeConnection } {
  let connections: { connection: Connection; client: Client; native: NativeConnection } | undefined;
  beforeAll(async () => {
    quietRuntime();
    const address = inject('temporalAddress');
    const connection = await Connection.connect({ address });
    const native = await NativeConnection.connect({ address });
    connections = { connection, client: new Client({ connection }), native };
  });
  afterAll(async () => {
    await connections?.native.close();
    await connections?.connection.close();
  });
  return () => {
    if (connections === undefined) throw new Error('Temporal is connected only while tests run');
    return connections;
  };
}
