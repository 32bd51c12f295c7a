import { status } from '@grpc/grpc-js';
import { ensureError } from '../domain/errors.ts';
import type { TemporalServer } from './temporal-server.ts';

/**
 * Says in a sentence why Temporal did not answer, and what to change.
 * @param error of `askTemporal`
 */
export function temporalProblem(
  error: unknown,
  server: Pick<TemporalServer, 'address' | 'tls'>,
  namespace: string,
): string {
  const { code, details } = error as { code?: number; details?: string };
  const { address } = server;
  const reason = details ?? ensureError(error).message;
  if (code === status.NOT_FOUND)
    return `TEMPORAL_NAMESPACE: ${address} has no namespace ${namespace}. Create it (npm run prepare-temporal), or correct the name`;
  if (code === status.UNAUTHENTICATED || code === status.PERMISSION_DENIED)
    return `TEMPORAL_ADDRESS: ${address} refuses this client (${reason}). Check TEMPORAL_API_KEY, TEMPORAL_TLS_CERT_FILE and TEMPORAL_NAMESPACE`;
  if (/Name resolution failed|ENOTFOUND|EAI_AGAIN/.test(reason))
    return `TEMPORAL_ADDRESS: the host of ${address} is not known. Check its name`;
  if (/certificate|SSL|TLS|EPROTO|altname/i.test(reason))
    return `TEMPORAL_ADDRESS: TLS to ${address} failed (${reason}). Check TEMPORAL_TLS_CA_FILE and TEMPORAL_TLS_SERVER_NAME`;
  if (reason.includes('ECONNREFUSED'))
    return `TEMPORAL_ADDRESS: nothing listens at ${address}. Start Temporal there, or correct host and port`;
  if (code === status.UNAVAILABLE && server.tls === undefined)
    return `TEMPORAL_ADDRESS: no Temporal server answers at ${address} (${reason}). Correct host and port, or set TEMPORAL_TLS=on if it speaks TLS`;
  return `TEMPORAL_ADDRESS: no Temporal server answers at ${address} (${reason}). Check host, port and TLS`;
}
