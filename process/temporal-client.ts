import { Client, Connection, defaultGrpcRetryOptions, makeGrpcRetryInterceptor } from '@temporalio/client';

/** gRPC status codes that are worth a quick second try. */
const RESOURCE_EXHAUSTED = 8;
const UNAVAILABLE = 14;
/** UNAVAILABLE: the caller knows better what to do than a client that hides it for seconds. */
const UNAVAILABLE_TRIES = 3;

/**
 * A client with its own retries: the default one sleeps 1.7 s on RESOURCE_EXHAUSTED, which "too many updates in flight" and
 * "the workflow is closing" are. Reconnects quickly, and notices half-open connections within 15 s.
 * Lazy: it does not wait for the server, so that a process can start, and tell its health, while Temporal is away.
 */
export function makeTemporalClient(options: {
  readonly address: string;
  readonly namespace: string;
  readonly identity: string;
}): { client: Client; connection: Connection } {
  const defaults = defaultGrpcRetryOptions();
  const connection = Connection.lazy({
    address: options.address,
    connectTimeout: '5 seconds',
    interceptors: [
      makeGrpcRetryInterceptor({
        ...defaults,
        delayFunction: (attempt, status) =>
          [RESOURCE_EXHAUSTED, UNAVAILABLE].includes(status.code)
            ? Math.min(30 * 1.5 ** (attempt - 1), 500) * (0.7 + Math.random() * 0.6)
            : defaults.delayFunction(attempt, status),
        retryableDecider: (attempt, status) =>
          (status.code as number) === UNAVAILABLE
            ? attempt <= UNAVAILABLE_TRIES
            : defaults.retryableDecider(attempt, status),
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
  return { client: new Client({ connection, namespace: options.namespace, identity: options.identity }), connection };
}

/** True when the namespace answers within the time limit. */
export async function isTemporalUp(client: Client, timeoutMs: number): Promise<boolean> {
  try {
    await client.withDeadline(Date.now() + timeoutMs, () =>
      client.workflowService.describeNamespace({ namespace: client.options.namespace }),
    );
    return true;
  } catch {
    return false;
  }
}
