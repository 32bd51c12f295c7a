import { type RequestListener, type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type JWK, SignJWT, exportJWK, generateKeyPair, importJWK } from 'jose';
import Provider from 'oidc-provider';

/** A real OpenID Connect provider on this machine, whose faults are a test's to make. */
export interface LocalProvider {
  readonly issuer: string;
  readonly jwksUrl: string;
  /** A token by the grant `client_credentials`. @param alg of a key of its own */
  readonly token: (user: string, alg?: string, claims?: Readonly<Record<string, unknown>>) => Promise<string>;
  /** What the provider never would: a token of any claims, signed with its RSA key. */
  readonly sign: (
    claims: Readonly<Record<string, unknown>>,
    header?: Readonly<Record<string, unknown>>,
  ) => Promise<string>;
  /** Replaces all keys; those before stay published if `keep`. */
  readonly rotate: (keep?: boolean) => Promise<void>;
  /** Requests for the discovery document or the keys so far. */
  readonly asked: () => number;
  /** What answers instead of the provider to whoever asks for the discovery document or the keys. */
  readonly answerBy: (listener: RequestListener | undefined) => void;
  /** Nobody listens any more. */
  readonly leave: () => Promise<void>;
  readonly comeBack: () => Promise<void>;
}

const AUDIENCE = 'parley';
const DISCOVERY = /^\/(?:\.well-known\/openid-configuration|jwks)$/;
const SECRET = 'a-secret-of-a-client-of-the-local-provider';

/** @param algorithms that its keys are for; RS256 is among them, which it needs itself */
export async function startLocalProvider(algorithms: readonly string[] = ['RS256']): Promise<LocalProvider> {
  let round = 0;
  let keys: JWK[] = [];
  let published: JWK[] = [];
  let handler: RequestListener = () => undefined;
  let instead: RequestListener | undefined;
  let asked = 0;
  let extra: Readonly<Record<string, unknown>> = {};
  const server = createServer((request, response) => {
    const isDiscovery = DISCOVERY.test(request.url ?? '');
    if (isDiscovery) asked++;
    if (isDiscovery && instead !== undefined) instead(request, response);
    else handler(request, response);
  });
  await listenOn(server, 0);
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;

  const rotate = async (keep = false): Promise<void> => {
    round++;
    keys = await Promise.all(algorithms.map((alg) => privateKey(alg, `${alg}-${round}`)));
    published = keep ? [...keys, ...published] : keys;
    handler = new Provider(issuer, {
      jwks: { keys: published },
      clients: ['alice', 'bob'].map((id) => ({
        client_id: id,
        client_secret: SECRET,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      })),
      extraTokenClaims: () => extra,
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (_: unknown, resource: string) => ({
            scope: 'operator',
            audience: AUDIENCE,
            accessTokenTTL: 600,
            accessTokenFormat: 'jwt',
            jwt: { sign: signWith(resource.replace('urn:parley:', ''), round) },
          }),
        },
      },
    }).callback();
  };
  await rotate();
  return {
    issuer,
    jwksUrl: `${issuer}/jwks`,
    token: async (user, alg = 'RS256', claims = {}) => {
      extra = claims;
      const response = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${user}:${SECRET}`).toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: `urn:parley:${alg}` }),
      });
      const answer = (await response.json()) as { readonly access_token?: string };
      if (answer.access_token === undefined) throw new Error(`the provider gave no token: ${JSON.stringify(answer)}`);
      return answer.access_token;
    },
    sign: async (claims, header = {}) => {
      const [key] = keys;
      if (key === undefined) throw new Error('the provider has no key');
      const protectedHeader = { alg: 'RS256', kid: `RS256-${round}`, ...header };
      return new SignJWT(claims).setProtectedHeader(protectedHeader).sign(await importJWK(key, 'RS256'));
    },
    rotate,
    asked: () => asked,
    answerBy: (listener) => void (instead = listener),
    leave: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
    comeBack: () => listenOn(server, port),
  };
}

function listenOn(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}

function signWith(alg: string, round: number): { alg: string; kid: string } {
  return { alg, kid: `${alg}-${round}` };
}

async function privateKey(alg: string, kid: string): Promise<JWK> {
  const { privateKey: key } = await generateKeyPair(alg, { extractable: true });
  return { ...(await exportJWK(key)), kid, alg, use: 'sig' };
}
