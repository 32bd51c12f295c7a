import { createSocket } from 'node:dgram';
import { loopback } from '../../../local/ports.ts';

/** A name server that knows addresses of version 4 for one name, as Docker's does for the replicas of a service. */
export interface NameServer {
  /** address:port */
  readonly address: string;
  readonly setAddresses: (addresses: readonly string[]) => void;
  readonly close: () => void;
}

/** Starts it on the loopback address. It answers every question about A records with all addresses (RFC 1035, 4.1). */
export async function startNameServer(addresses: readonly string[]): Promise<NameServer> {
  let known = addresses;
  const socket = createSocket('udp4');
  socket.on('message', (query, { port, address }) => {
    // The question: labels up to an empty one, then type and class.
    const end = query.indexOf(0, 12) + 5;
    const isAddress = query.readUInt16BE(end - 4) === 1;
    const answers = isAddress ? known : [];
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    // An answer, with recursion; one question.
    header.writeUInt16BE(0x81_80, 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(answers.length, 6);
    const records = answers.map((one) =>
      // The name of the question, type A, class IN, valid for a second, four bytes.
      Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, ...one.split('.').map(Number)]),
    );
    socket.send(Buffer.concat([header, query.subarray(12, end), ...records]), port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, loopback, resolve));
  return {
    address: `${loopback}:${socket.address().port}`,
    setAddresses: (next) => {
      known = next;
    },
    close: () => socket.close(),
  };
}
