import { type Socket, connect } from 'node:net';

/** One TCP connection on which an attacker writes what it likes and reads only when it likes. */
export interface RawConnection {
  readonly socket: Socket;
  /** Bytes that came back and were read. */
  readonly received: () => number;
  /** The start of what came back. */
  readonly text: () => string;
  readonly isClosed: () => boolean;
  readonly close: () => void;
}

/** How much of an answer is kept. */
const KEPT_CHARACTERS = 2000;

/** Connects; resolves when the connection is open. */
export function openConnection(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) });
    let received = 0;
    let text = '';
    let isClosed = false;
    socket.on('data', (chunk) => {
      received += chunk.length;
      if (text.length < KEPT_CHARACTERS) text += chunk.toString('latin1').slice(0, KEPT_CHARACTERS);
    });
    socket.once('error', (error) => {
      isClosed = true;
      reject(error);
    });
    socket.once('close', () => (isClosed = true));
    socket.once('connect', () =>
      resolve({
        socket,
        received: () => received,
        text: () => text,
        isClosed: () => isClosed,
        close: () => socket.destroy(),
      }),
    );
  });
}

/** The head of an HTTP request. */
export function requestHead(
  method: string,
  path: string,
  token: string,
  headers: Readonly<Record<string, string>> = {},
): string {
  const lines = Object.entries({ host: 'attack', authorization: `Bearer ${token}`, ...headers });
  return `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

/** Writes bytes piece by piece until all are taken or the connection ends. @returns bytes that the other side's kernel took */
export async function writeSlowly(
  connection: RawConnection,
  content: Uint8Array,
  stop: () => boolean,
): Promise<number> {
  const PIECE = 256 * 1024;
  let written = 0;
  while (written < content.length && !connection.isClosed() && !stop()) {
    const piece = content.subarray(written, written + PIECE);
    const isFlushed = connection.socket.write(piece);
    written += piece.length;
    if (!isFlushed) await drained(connection.socket, stop);
  }
  return written;
}

function drained(socket: Socket, stop: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearInterval(watch);
      socket.off('drain', finish);
      socket.off('close', finish);
      resolve();
    };
    const watch = setInterval(() => stop() && finish(), 50);
    socket.on('drain', finish);
    socket.on('close', finish);
  });
}
