import { readFileSync } from 'node:fs';
import { ensureError } from '../domain/errors.ts';
import type { TemporalTls } from './temporal-tls.ts';

/** The parts of the configuration that name files. */
export interface KeyFiles {
  readonly jwt: { readonly kind: string; readonly file?: string } | undefined;
  readonly temporalTls: TemporalTls;
}

/**
 * Looks into the files with certificates and keys that the configuration names.
 * @returns one sentence for each that cannot be read, or that is no PEM file
 */
export function keyFileProblems({ jwt, temporalTls: tls }: KeyFiles): string[] {
  return [
    ...pemProblems('JWT_PUBLIC_KEY_FILE', jwt?.kind === 'key-file' ? jwt.file : undefined),
    ...pemProblems('TEMPORAL_TLS_CA_FILE', tls.caFile),
    ...pemProblems('TEMPORAL_TLS_CERT_FILE', tls.certFile),
    ...pemProblems('TEMPORAL_TLS_KEY_FILE', tls.keyFile),
  ];
}

function pemProblems(variable: string, file: string | undefined): string[] {
  if (file === undefined) return [];
  try {
    return readFileSync(file, 'utf8').includes('-----BEGIN ') ? [] : [`${variable}: ${file} is not a PEM file`];
  } catch (error) {
    return [`${variable}: the file cannot be read: ${ensureError(error).message}`];
  }
}
