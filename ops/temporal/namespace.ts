import { status } from '@grpc/grpc-js';
import { type Client, isGrpcServiceError } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';

/** How long Temporal keeps the histories of runs that ended. They hold no content; three days are enough to look into a fault. */
const RETENTION = '72 hours';
/** Time for Temporal to answer one call. */
const CALL_MS = 10_000;

/**
 * Creates the namespace of a client if it does not exist. Several processes may do so at once.
 * @returns true if this call created it
 * @throws ServiceError if Temporal does not answer or refuses
 */
export async function ensureNamespace(client: Client): Promise<boolean> {
  const { namespace } = client.options;
  return client.withDeadline(Date.now() + CALL_MS, async () => {
    try {
      await client.workflowService.describeNamespace({ namespace });
      return false;
    } catch (error) {
      if (!hasStatus(error, status.NOT_FOUND)) throw error;
    }
    try {
      const workflowExecutionRetentionPeriod = msToTs(RETENTION);
      await client.workflowService.registerNamespace({ namespace, workflowExecutionRetentionPeriod });
      return true;
    } catch (error) {
      if (hasStatus(error, status.ALREADY_EXISTS)) return false;
      throw error;
    }
  });
}

function hasStatus(error: unknown, code: status): boolean {
  return isGrpcServiceError(error) && error.code === code;
}
