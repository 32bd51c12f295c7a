import { readFile } from 'node:fs/promises';
import type { ConnectionOptions } from '@temporalio/client';
import type { Config } from './config.ts';
import type { TemporalTls } from './temporal-tls.ts';

/** Where Temporal is, and how to speak with it. The client and the worker's own connection take the same. */
export type TemporalServer = Pick<ConnectionOptions, 'address'> & {
  readonly address: string;
  readonly tls?: Exclude<ConnectionOptions['tls'], null | boolean | undefined>;
  readonly apiKey?: string;
};

/**
 * Reads the certificates. A process reads them once: after a change it needs a restart.
 * @throws Error that names the variable whose file cannot be read
 */
export async function temporalServer(
  config: Pick<Config, 'temporalAddress' | 'temporalTls' | 'temporalApiKey'>,
): Promise<TemporalServer> {
  const { temporalAddress: address, temporalTls: settings, temporalApiKey: apiKey } = config;
  return {
    address,
    ...(settings.isOn ? { tls: await readTls(settings) } : {}),
    ...(apiKey === undefined ? {} : { apiKey }),
  };
}

async function readTls(settings: TemporalTls): Promise<NonNullable<TemporalServer['tls']>> {
  const ca = await readPem('TEMPORAL_TLS_CA_FILE', settings.caFile);
  const crt = await readPem('TEMPORAL_TLS_CERT_FILE', settings.certFile);
  const key = await readPem('TEMPORAL_TLS_KEY_FILE', settings.keyFile);
  return {
    ...(ca === undefined ? {} : { serverRootCACertificate: ca }),
    ...(crt === undefined || key === undefined ? {} : { clientCertPair: { crt, key } }),
    ...(settings.serverName === undefined ? {} : { serverNameOverride: settings.serverName }),
  };
}

async function readPem(variable: string, file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new Error(`${variable}: cannot read the file ${file}`, { cause });
  });
  // Without this, the mistake would only show as a connection that fails for ever.
  if (!bytes.includes('-----BEGIN ')) throw new Error(`${variable}: ${file} is not a PEM file`);
  return bytes;
}
