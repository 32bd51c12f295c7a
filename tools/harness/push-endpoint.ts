import { createECDH, createPublicKey, randomBytes, verify } from 'node:crypto';
import { type IncomingHttpHeaders, type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import ece from 'http_ece';
import type { PushTarget } from '../../domain/push.ts';

/** A request that a push service got. */
export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** How it answers; `hang` = never. */
export type PushAnswer = { readonly status: number; readonly headers?: Readonly<Record<string, string>> } | 'hang';

/** A push service of our own on a loopback address: a real HTTP server. */
export interface PushEndpoint {
  readonly url: string;
  readonly received: Received[];
  /** From now on, for paths that begin so. @default 201 */
  readonly answer: (path: string, answer: PushAnswer) => void;
  readonly close: () => Promise<void>;
}

export async function startPushEndpoint(): Promise<PushEndpoint> {
  const received: Received[] = [];
  const answers = new Map<string, PushAnswer>();
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const path = request.url ?? '/';
      received.push({ path, headers: request.headers, body: Buffer.concat(chunks) });
      const [, answer = { status: 201 }] = [...answers].findLast(([prefix]) => path.startsWith(prefix)) ?? [];
      if (answer !== 'hang') response.writeHead(answer.status, answer.headers).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    answer: (path, answer) => {
      answers.delete(path);
      answers.set(path, answer);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A push subscription as a browser makes it, with the private key that decrypts. */
export interface Subscription {
  readonly target: Extract<PushTarget, { kind: 'web-push' }>;
  /** Decrypts a body (RFC 8291, RFC 8188). @throws Error for another subscription */
  readonly decrypt: (body: Buffer) => string;
}

export function subscribe(endpoint: string): Subscription {
  const key = createECDH('prime256v1');
  key.generateKeys();
  const auth = randomBytes(16);
  const keys = { p256dh: key.getPublicKey('base64url'), auth: auth.toString('base64url') };
  return {
    target: { kind: 'web-push', endpoint, keys },
    decrypt: (body) =>
      ece.decrypt(body, { version: 'aes128gcm', privateKey: key, authSecret: auth.toString('base64url') }).toString(),
  };
}

/** Checks `Authorization: vapid t=.., k=..` (RFC 8292). @returns the claims. @throws Error for a wrong signature */
export function verifyVapid(authorization: string | undefined): Record<string, unknown> {
  const [, token = '', k = ''] = /^vapid t=([^,]+), ?k=(.+)$/.exec(authorization ?? '') ?? [];
  const [head = '', claims = '', signature = ''] = token.split('.');
  const point = Buffer.from(k, 'base64url');
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: point.subarray(1, 33).toString('base64url'),
    y: point.subarray(33).toString('base64url'),
  };
  const publicKey = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' } as const;
  const isGood = verify('sha256', Buffer.from(`${head}.${claims}`), publicKey, Buffer.from(signature, 'base64url'));
  if (!isGood) throw new Error('The VAPID signature is wrong');
  return JSON.parse(Buffer.from(claims, 'base64url').toString()) as Record<string, unknown>;
}
