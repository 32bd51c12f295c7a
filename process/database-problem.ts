import { ensureError } from '../domain/errors.ts';

/** SQLSTATE class and code of PostgreSQL (Appendix A of its documentation). */
const WRONG_PASSWORD = '28P01';
const NOT_AUTHORIZED = '28000';
const NO_DATABASE = '3D000';
const NOT_ALLOWED = '42501';
const TOO_MANY = '53300';
const STARTING = '57P03';

const CERTIFICATE_CODE =
  /^(?:SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_|CERT_|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)/;

/**
 * Says in a sentence why a connection to the database failed, and what to change. It has neither the password nor the whole URL.
 * @param variable what names the database
 * @returns undefined if the error is another one, of a statement for example
 */
export function databaseProblem(error: unknown, url: string, variable = 'DATABASE_URL'): string | undefined {
  const { message } = ensureError(error);
  const { code = '' } = error as { code?: string };
  const { server, user, database } = partsOf(url);
  const say = (text: string): string => `${variable}: ${text}`;
  if (code === 'ERR_INVALID_URL') return say('this is no URL of a database (postgres://user@host:5432/database)');
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN')
    return say(`the host of ${server} is not known (${code}). Check its name`);
  if (code === 'ECONNREFUSED')
    return say(`nothing listens at ${server}. Start PostgreSQL there, or correct host and port`);
  if (code === 'ETIMEDOUT' || /timeout expired|due to connection timeout/.test(message))
    return say(`${server} does not answer. Check host, port and firewall`);
  if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH')
    return say(`there is no way to ${server} (${code}). Check host and network`);
  if (code === WRONG_PASSWORD) return say(`the server refuses the password of the user ${user}`);
  if (code === NO_DATABASE) return say(`${server} has no database ${database}. Create it, or correct the name`);
  if (code === NOT_AUTHORIZED && message.includes('no encryption'))
    return say(`${server} wants TLS. Add ?sslmode=verify-full to the URL`);
  if (code === NOT_AUTHORIZED) return say(`the server refuses the user ${user}: ${message}`);
  if (message.includes('does not support SSL'))
    return say(`${server} has no TLS, but the URL asks for it. Remove sslmode, or switch TLS on in the server`);
  if (CERTIFICATE_CODE.test(code))
    return say(
      `the certificate of ${server} is not trusted (${code}). Add ?sslmode=verify-full&sslrootcert=<file with the CA> to the URL`,
    );
  if (/client password must be a string|no password/i.test(message))
    return say(`the server asks for a password. Put it into the URL, or set DATABASE_PASSWORD`);
  if (code === 'ENOENT') return say(`a file that the URL names is not there: ${message}`);
  if (code === TOO_MANY) return say(`${server} has no connection left: raise its max_connections`);
  if (code === STARTING) return say(`the server at ${server} is starting or stopping. Try again in a moment`);
  if (code === 'ECONNRESET' || code === 'EPROTO' || /Connection terminated|unexpected (?:message|error)/i.test(message))
    return say(`what listens at ${server} does not answer as PostgreSQL does (${message}). Correct host and port`);
  if (code === NOT_ALLOWED) return say(`the user ${user} may not do this: ${message}`);
  return undefined;
}

/**
 * The same for the end of a program: one sentence in any case.
 * @param error of a connection or of a statement
 */
export function reasonOf(error: unknown, url: string, variable = 'DATABASE_URL'): string {
  const sentence = databaseProblem(error, url, variable);
  if (sentence !== undefined) return sentence;
  const { message } = ensureError(error);
  return message === '' ? String((error as { code?: string }).code) : message;
}

function partsOf(text: string): { server: string; user: string; database: string } {
  if (!URL.canParse(text)) return { server: 'the server', user: 'in the URL', database: 'of that name' };
  const url = new URL(text);
  const host = url.hostname === '' ? (url.searchParams.get('host') ?? 'localhost') : url.hostname;
  const user = decodeURIComponent(url.username);
  return {
    server: `${host}:${url.port === '' ? '5432' : url.port}`,
    user: user === '' ? 'of the system' : user,
    database: decodeURIComponent(url.pathname.slice(1)) || user || 'of that name',
  };
}
