import { WebSocket } from 'undici';
import { waitUntil } from '../harness/wait-until.ts';

/** Memory of a Node process after a full garbage collection, in bytes (`process.memoryUsage`). */
export interface MemoryUse {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
}

/** Number of collections. One collection leaves work for finalizers, and the next one takes what they free. */
const COLLECTIONS = 3;

/**
 * Collects the garbage of a process and reads its memory, over the Chrome DevTools Protocol.
 * @param port the port that the process got with `--inspect`
 */
export async function collectedMemory(port: number): Promise<MemoryUse> {
  const answer = await fetch(`http://127.0.0.1:${port}/json/list`);
  const [target] = (await answer.json()) as { webSocketDebuggerUrl: string }[];
  if (target === undefined) throw new Error('nothing to inspect');
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  const answers = new Map<number, unknown>();
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: unknown };
    if (id !== undefined) answers.set(id, result);
  });
  let count = 0;
  const call = async (method: string, params: Readonly<Record<string, unknown>> = {}): Promise<unknown> => {
    const id = ++count;
    socket.send(JSON.stringify({ id, method, params }));
    await waitUntil(() => answers.has(id), { timeoutMs: 60_000, what: `${method} answers` });
    return answers.get(id);
  };
  try {
    await waitUntil(() => socket.readyState === WebSocket.OPEN, { timeoutMs: 10_000, what: 'the inspector answers' });
    for (let i = 0; i < COLLECTIONS; i++) await call('HeapProfiler.collectGarbage');
    const read = await call('Runtime.evaluate', { expression: 'process.memoryUsage()', returnByValue: true });
    return (read as { result: { value: MemoryUse } }).result.value;
  } finally {
    socket.close();
  }
}
