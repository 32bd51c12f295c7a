import { randomBytes } from 'node:crypto';
import { signToken } from './development-token.ts';
import type { StackOptions } from './options.ts';
import type { Stack } from './stack.ts';

/** What to show when everything runs: addresses, a token, and three calls to copy. */
export async function summary(options: StackOptions, { secret, uiUrl, temporalAddress }: Stack): Promise<string> {
  const { host, ports, dataDir, jwt } = options;
  const api = `http://${host}:${ports.api}`;
  const lines = [
    '',
    'Parley is ready.',
    '',
    `  API               ${api}/v1`,
    `  Documentation     ${api}/docs`,
    `  Temporal Web UI   ${uiUrl ?? `(that of ${temporalAddress})`}`,
    `  Metrics           ${api}/metrics (API), http://${host}:${ports.admin}/metrics (worker)`,
    `  Logs              ${dataDir}/logs`,
    '',
  ];
  if (secret === undefined) {
    lines.push('Tokens are checked with a public key; ask its owner for one.');
  } else {
    const token = await signToken({ secret, audience: jwt.audience, user: 'alice' });
    lines.push(
      'A token for alice, good for 24 hours (another one: npm run --silent token -- bob):',
      '',
      ...tryOut(api, token),
    );
  }
  return [...lines, '', 'Ctrl-C stops everything.', ''].join('\n');
}

/** Three calls that create a conversation, send to it and read it back. A new id each time, so that they always work. */
function tryOut(api: string, token: string): string[] {
  const conversation = randomBytes(12).toString('base64url');
  const message = { id: 'hello-1', ciphertext: Buffer.from('hello').toString('base64') };
  const url = `${api}/v1/conversations`;
  const post = `curl -s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json'`;
  return [
    `export TOKEN=${token}`,
    '',
    `${post} -d '${JSON.stringify({ id: conversation, protocol: 'opaque' })}' ${url}`,
    `${post} -d '${JSON.stringify(message)}' ${url}/${conversation}/messages`,
    `curl -s -H "Authorization: Bearer $TOKEN" '${url}/${conversation}/messages?after=0'`,
  ];
}
