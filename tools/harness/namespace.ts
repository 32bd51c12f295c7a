import { Connection } from '@temporalio/client';
import { tryUntil } from './wait-until.ts';

const DAY_S = 86_400;

/** Makes a namespace unless it is there, and waits until workflows can be counted in it: caches learn of it after seconds. */
export async function registerNamespace(address: string, namespace: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: 2000 });
  try {
    const { workflowService } = connection;
    await workflowService
      .registerNamespace({ namespace, workflowExecutionRetentionPeriod: { seconds: DAY_S as never } })
      .catch((error: unknown) => {
        if (!String(error).includes('already')) throw error;
      });
    const count = (): Promise<unknown> => workflowService.countWorkflowExecutions({ namespace });
    await tryUntil(count, { what: `the namespace ${namespace} is known`, timeoutMs: 30_000, everyMs: 200 });
  } finally {
    await connection.close();
  }
}
