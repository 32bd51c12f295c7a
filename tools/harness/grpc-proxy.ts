import {
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
  type SecureServerOptions,
  connect,
  constants,
  createSecureServer,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';

/** A server that speaks gRPC over TLS and passes every call on to a server without TLS. */
export interface GrpcProxy {
  /** host:port */
  readonly address: string;
  /** `authorization` of each call. */
  readonly authorizations: ReadonlySet<string | undefined>;
  /** The name that each client asked for (SNI). */
  readonly serverNames: ReadonlySet<string | false | undefined>;
  readonly close: () => Promise<void>;
}

/** Headers that belong to one connection. */
const OWN_HEADERS: readonly string[] = [':path', ':method', ':scheme', ':authority', ':status'];

/**
 * @param target host:port
 * @param tls certificate, key, and which client certificates it wants
 */
export async function startGrpcProxy(target: string, tls: SecureServerOptions): Promise<GrpcProxy> {
  const authorizations = new Set<string | undefined>();
  const serverNames = new Set<string | false | undefined>();
  const upstream = connect(`http://${target}`);
  upstream.on('error', () => undefined);
  const server = createSecureServer(tls);
  const sessions = new Set<{ destroy: () => void }>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
  });
  server.on('tlsClientError', () => undefined);
  server.on('secureConnection', (socket: TLSSocket & { readonly servername?: string | false }) =>
    serverNames.add(socket.servername),
  );
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    authorizations.add(headers.authorization);
    stream.on('error', () => undefined);
    const call = upstream.request({
      ...others(headers),
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: headers[':path'],
    });
    let trailers: Record<string, string | string[] | undefined> = {};
    call.on('trailers', (found: IncomingHttpHeaders) => (trailers = found));
    call.on('error', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    call.on('response', (answer: IncomingHttpHeaders) => {
      if (stream.destroyed) return;
      stream.respond({ ...others(answer), ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers(trailers));
      call.pipe(stream);
    });
    stream.on('close', () => call.close(constants.NGHTTP2_CANCEL));
    stream.pipe(call);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    authorizations,
    serverNames,
    close: () => close(server, sessions, () => upstream.destroy()),
  };
}

function others(headers: IncomingHttpHeaders): Record<string, string | string[] | undefined> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OWN_HEADERS.includes(name)));
}

async function close(
  server: Http2SecureServer,
  sessions: Set<{ destroy: () => void }>,
  last: () => void,
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const session of sessions) session.destroy();
  last();
  await closed;
}
