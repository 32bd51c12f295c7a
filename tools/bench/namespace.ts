import { Connection } from '@temporalio/client';

const DAY_S = 86_400;

/** Makes a namespace, and waits until the server knows it everywhere. */
export async function registerNamespace(address: string, namespace: string): Promise<void> {
  const connection = await Connection.connect({ address });
  try {
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: { seconds: DAY_S as never },
    });
  } finally {
    await connection.close();
  }
}
