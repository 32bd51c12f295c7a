import { accessSync, constants } from 'node:fs';
import { own } from '../domain/own.ts';

const URLS = ['DATABASE_URL', 'DATABASE_DIRECT_URL', 'DATABASE_REPLICA_URL'] as const;
/** Parameters of a URL that name files, as libpq has them. */
const FILES = ['sslrootcert', 'sslcert', 'sslkey'] as const;
const MODES = ['disable', 'no-verify', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
/** Modes that would make the CA useless. */
const UNCHECKED: readonly string[] = ['disable', 'no-verify'];

/**
 * What is wrong with the settings of TLS to PostgreSQL: a sentence for each. None repeats a URL.
 * @param given the variables that are set
 */
export function databaseTlsProblems(given: Readonly<Record<string, string | undefined>>): string[] {
  const caFile = own(given, 'DATABASE_TLS_CA_FILE');
  const problems = caFile === undefined ? [] : fileProblems('DATABASE_TLS_CA_FILE', caFile);
  for (const variable of URLS) {
    const url = own(given, variable) ?? '';
    if (!URL.canParse(url)) continue;
    const { searchParams } = new URL(url);
    const mode = searchParams.get('sslmode');
    if (mode !== null && !MODES.some((known) => known === mode)) {
      problems.push(`${variable} has an sslmode that does not exist: it must be one of ${MODES.join(', ')}`);
    }
    if (caFile !== undefined && mode !== null && UNCHECKED.includes(mode)) {
      problems.push(`${variable} has sslmode=${mode}, but DATABASE_TLS_CA_FILE asks for a check of the certificate`);
    }
    for (const parameter of FILES) {
      const file = searchParams.get(parameter);
      if (file !== null) problems.push(...fileProblems(`${parameter} of ${variable}`, file));
    }
  }
  return problems;
}

function fileProblems(what: string, file: string): string[] {
  try {
    accessSync(file, constants.R_OK);
    return [];
  } catch {
    return [`${what} names a file that cannot be read: ${file}`];
  }
}
