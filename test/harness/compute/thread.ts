import { BroadcastChannel, parentPort } from 'node:worker_threads';
import type { JobMessage, ThreadMessage } from '../../../compute/thread.ts';
import { pack, unpack } from '../../../compute/wire.ts';
import { RELEASES } from './releases.ts';

// A thread for tests. Its jobs have orders: it holds, crashes or spins as the first word of the input says.

const port = parentPort;
const released = new Set<string>();
const channel = new BroadcastChannel(RELEASES);
channel.onmessage = (event) => released.add((event as { data: string }).data);

port?.on('message', ({ input }: JobMessage) => {
  const [order] = unpack(input) as [Buffer];
  const [word, id = ''] = order.toString('utf8').split(' ');
  if (word === 'crash') setImmediate(() => process.exit(7));
  else if (word === 'throw') setImmediate(() => throwUncaught());
  else if (word === 'spin') for (;;);
  else if (word === 'fill') fillHeap();
  else if (word === 'environment') answer(Buffer.from(`environment ${JSON.stringify(process.env)}`));
  else if (word === 'hold') whenReleased(id, () => answer(order));
  else answer(order);
});
port?.postMessage({ kind: 'ready' } satisfies ThreadMessage);

function answer(order: Buffer): void {
  const { message: output, transfer } = pack({ root: { value: order.toString('utf8') }, longStrings: [] });
  port?.postMessage({ kind: 'done', output } satisfies ThreadMessage, transfer);
}

function whenReleased(id: string, then: () => void): void {
  if (released.has(id)) then();
  else setImmediate(whenReleased, id, then);
}

function throwUncaught(): never {
  throw new Error('nobody catches this');
}

function fillHeap(): void {
  const all: object[] = [];
  for (;;) all.push({ all: [all.length] });
}
