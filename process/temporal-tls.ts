import { own } from '../domain/own.ts';

/** TLS to Temporal, by files (`temporal-server.ts` reads them). */
export interface TemporalTls {
  readonly isOn: boolean;
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly serverName: string | undefined;
}

/** Each of these asks for TLS. */
const TLS_DETAILS = [
  'TEMPORAL_TLS_CA_FILE',
  'TEMPORAL_TLS_CERT_FILE',
  'TEMPORAL_TLS_KEY_FILE',
  'TEMPORAL_TLS_SERVER_NAME',
  'TEMPORAL_API_KEY',
] as const;

/**
 * Settings that contradict each other. An API key in plain text would be everybody's.
 * @param given the variables that are set
 */
export function tlsProblems(given: Readonly<Record<string, string | undefined>>): string[] {
  const set = TLS_DETAILS.filter((name) => own(given, name) !== undefined);
  const problems: string[] = [];
  if (own(given, 'TEMPORAL_TLS') === 'off' && set.length > 0) {
    problems.push(`TEMPORAL_TLS is off, but ${set.join(' and ')} ${set.length === 1 ? 'needs' : 'need'} TLS`);
  }
  for (const [one, other] of [
    ['TEMPORAL_TLS_CERT_FILE', 'TEMPORAL_TLS_KEY_FILE'],
    ['TEMPORAL_TLS_KEY_FILE', 'TEMPORAL_TLS_CERT_FILE'],
  ] as const) {
    if (set.includes(one) && !set.includes(other)) problems.push(`${one} is set without ${other}`);
  }
  return problems;
}

/** @param values the parsed variables */
export function temporalTls(
  values: { readonly TEMPORAL_TLS: string } & Readonly<Record<(typeof TLS_DETAILS)[number], string | undefined>>,
): TemporalTls {
  return {
    isOn: values.TEMPORAL_TLS === 'on' || TLS_DETAILS.some((name) => values[name] !== undefined),
    caFile: values.TEMPORAL_TLS_CA_FILE,
    certFile: values.TEMPORAL_TLS_CERT_FILE,
    keyFile: values.TEMPORAL_TLS_KEY_FILE,
    serverName: values.TEMPORAL_TLS_SERVER_NAME,
  };
}

/** All variables about TLS and keys. A server that `npm start` runs itself needs none of them. */
export const TEMPORAL_TLS_NAMES: readonly string[] = ['TEMPORAL_TLS', ...TLS_DETAILS];
