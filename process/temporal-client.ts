import { status } from '@grpc/grpc-js';
import { Client, Connection, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';
import type { TemporalServer } from './temporal-server.ts';

/** gRPC status codes that are tried again quickly. */
const QUICKLY_RETRIED: readonly number[] = [status.RESOURCE_EXHAUSTED, status.UNAVAILABLE];
/** Few tries: the caller must see soon that Temporal is not available, and decide what to do. */
const UNAVAILABLE_TRIES = 3;

/**
 * Makes a client with our own retry times. The default client waits 1.7 s after RESOURCE_EXHAUSTED, which is the answer to
 * too many updates in flight and to an update of a workflow that is closing.
 * The client reconnects quickly, and notices half-open connections within 15 s.
 * It connects lazily: a process can start and report its health while Temporal is not available.
 */
export function makeTemporalClient(
  options: TemporalServer & { readonly namespace: string; readonly identity: string },
): { client: Client; connection: Connection } {
  const { namespace, identity, ...server } = options;
  const defaults = defaultGrpcRetryOptions();
  const connection = Connection.lazy({
    ...server,
    connectTimeout: '5 seconds',
    interceptors: [
      makeGrpcRetryInterceptor({
        ...defaults,
        delayFunction: (attempt, answer) =>
          QUICKLY_RETRIED.includes(answer.code)
            ? Math.min(30 * 1.5 ** (attempt - 1), 500) * (0.7 + Math.random() * 0.6)
            : defaults.delayFunction(attempt, answer),
        retryableDecider: (attempt, answer) =>
          answer.code === status.UNAVAILABLE
            ? attempt <= UNAVAILABLE_TRIES
            : defaults.retryableDecider(attempt, answer),
      }),
    ],
    channelArgs: {
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 5000,
      'grpc.keepalive_permit_without_calls': 1,
    },
  });
  return { client: new Client({ connection, namespace, identity }), connection };
}

/**
 * Asks Temporal for the namespace.
 * @throws ServiceError if it does not answer within the time limit, or has no such namespace
 */
export async function askTemporal(client: Client, timeoutMs: number): Promise<void> {
  await client.withDeadline(Date.now() + timeoutMs, () =>
    client.workflowService.describeNamespace({ namespace: client.options.namespace }),
  );
}

/** True when the namespace answers within the time limit. */
export async function isTemporalUp(client: Client, timeoutMs: number): Promise<boolean> {
  try {
    await askTemporal(client, timeoutMs);
    return true;
  } catch {
    return false;
  }
}
