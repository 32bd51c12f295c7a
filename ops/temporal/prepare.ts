import { makeTemporalClient } from '../../process/temporal-client.ts';
import { loadConfigOrExit } from '../../process/config.ts';
import { ensureError } from '../../domain/errors.ts';
import { ensureNamespace } from './namespace.ts';

/**
 * `npm run prepare-temporal`: creates the namespace of TEMPORAL_NAMESPACE where it is missing. May run again. Where the
 * namespace exists (Temporal Cloud creates it), nothing changes.
 */
const config = loadConfigOrExit(process.env, 'namespace');
const { client, connection } = makeTemporalClient({
  address: config.temporalAddress,
  namespace: config.temporalNamespace,
  identity: 'prepare-temporal',
});
try {
  const isNew = await ensureNamespace(client);
  process.stdout.write(`The namespace ${config.temporalNamespace} ${isNew ? 'was created' : 'is there already'}.\n`);
} catch (error) {
  process.stderr.write(`Cannot prepare Temporal at ${config.temporalAddress}: ${ensureError(error).message}\n`);
  process.exitCode = 1;
} finally {
  await connection.close();
}
