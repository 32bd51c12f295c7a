import { randomBytes } from 'node:crypto';
import { LOOPBACK } from '../process/listen.ts';
import { signToken } from './development-token.ts';
import type { Stack } from './stack.ts';

/** Text for the terminal when all parts are ready: addresses, a token, and three commands to copy. */
export async function summary({ options, secret, uiUrl, temporalAddress }: Stack): Promise<string> {
  const { host, ports, dataDir, hasOwnDataDir, jwt, databaseUrl } = options;
  const api = `http://${host}:${ports.api}`;
  // The secret is in the data folder: without this setting another terminal would make a token that the service refuses.
  const tokenCommand = `${hasOwnDataDir ? `PARLEY_DATA_DIR='${dataDir}' ` : ''}npm run --silent token -- bob`;
  const token =
    secret === undefined
      ? undefined
      : await signToken({ secret, audience: jwt.audience, issuer: jwt.issuer, user: 'alice' });
  const lines = [
    '',
    'Parley is ready.',
    '',
    `  Web app           ${webApp(options)}`,
    `  API               ${api}/v1`,
    `  Documentation     ${api}/docs${token === undefined ? '' : `#token=${token}`}`,
    `  Temporal Web UI   ${uiUrl ?? `see the Temporal server at ${temporalAddress}`}`,
    `  Metrics           ${api}/metrics (API), http://${host}:${ports.admin}/metrics (worker)`,
    `  PostgreSQL        ${databaseUrl === undefined ? `127.0.0.1:${ports.postgres}, npm run psql` : 'as DATABASE_URL says'}`,
    `  Data and logs     ${dataDir}, ${dataDir}/logs`,
    '',
  ];
  if (token === undefined) {
    lines.push(
      'Tokens come from an external issuer (JWT_ISSUER, JWT_JWKS_URL or JWT_PUBLIC_KEY_FILE). Ask this issuer for a token.',
    );
  } else {
    lines.push(
      `This token is for the user alice and is valid for 24 hours. For another user: ${tokenCommand}`,
      '',
      ...tryOut(api, token),
    );
  }
  return [...lines, '', 'Ctrl-C stops everything.', ''].join('\n');
}

/** `localhost` is the name that people type: a browser keeps its data by the name. */
function webApp({ host, ports }: Stack['options']): string {
  return `http://${host === LOOPBACK ? 'localhost' : host}:${ports.api}/app/`;
}

/**
 * Three commands: create a conversation, send a message, read it. The conversation id is new each time, so they always
 * work.
 */
function tryOut(api: string, token: string): string[] {
  const conversation = randomBytes(12).toString('base64url');
  const message = { id: 'hello-1', ciphertext: Buffer.from('hello').toString('base64') };
  const url = `${api}/v1/conversations`;
  const post = `curl -s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json'`;
  return [
    `export PARLEY_URL=${api}`,
    `export TOKEN=${token}`,
    '',
    `${post} -d '${JSON.stringify({ id: conversation, protocol: 'opaque' })}' ${url}`,
    `${post} -d '${JSON.stringify(message)}' ${url}/${conversation}/messages`,
    `curl -s -H "Authorization: Bearer $TOKEN" '${url}/${conversation}/messages?after=0'`,
  ];
}
