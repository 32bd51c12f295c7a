import { makeTemporalClient } from '../../process/temporal-client.ts';
import { temporalProblem } from '../../process/temporal-problem.ts';
import { temporalServer } from '../../process/temporal-server.ts';
import { loadConfigOrExit } from '../../process/config.ts';
import { ensureError } from '../../domain/errors.ts';
import { ensureNamespace } from './namespace.ts';
import { ensureSearchAttributes, registerCommand } from './search-attributes.ts';

/**
 * `npm run prepare-temporal`: creates the namespace of TEMPORAL_NAMESPACE where it is missing, and registers the search attributes in
 * it. May run again. Where the namespace exists (Temporal Cloud creates it), it stays as it is.
 */
const config = loadConfigOrExit(process.env, 'namespace');
const { temporalNamespace: namespace } = config;
const server = await temporalServer(config);
const { client, connection } = makeTemporalClient({
  ...server,
  namespace,
  identity: 'prepare-temporal',
});
try {
  const isNew = await ensureNamespace(client);
  process.stdout.write(`The namespace ${namespace} ${isNew ? 'was created' : 'is there already'}.\n`);
  await register();
} catch (error) {
  process.stderr.write(`Cannot prepare Temporal. ${temporalProblem(error, server, namespace)}\n`);
  process.exitCode = 1;
} finally {
  await connection.close();
}

/** The service runs without the attributes too, so a server that forbids this does not fail the deployment. */
async function register(): Promise<void> {
  try {
    const names = await ensureSearchAttributes(client);
    process.stdout.write(
      `Search attributes: ${names.length === 0 ? 'all are there' : `new are ${names.join(', ')}`}.\n`,
    );
  } catch (error) {
    const reason = ensureError(error).message;
    process.stderr.write(`Search attributes were not registered (${reason}). By hand: ${registerCommand(namespace)}\n`);
  }
}
