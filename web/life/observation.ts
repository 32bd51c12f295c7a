import { signal } from '@preact/signals';
import { AdminClient, createHttp, ProblemError } from '../../client/index.ts';
import type { LifeEvent } from './life-event.ts';
import { emptyLife, type LifeState, withConnection, withEvent } from './model/life-state.ts';

/** The life of the conversation that is open. */
export const life = signal<LifeState>(emptyLife());
/** An operator's token that somebody pasted, where no control server gives one. In memory only. */
export const pastedToken = signal<string | undefined>(undefined);

/** A conversation that the service does not know may come: it is looked for again after this time. */
const LOOK_AGAIN_MS = 3_000;

/** What the window that reads tells the others. */
type Told =
  | { readonly kind: 'event'; readonly event: LifeEvent }
  | { readonly kind: 'connection'; readonly connection: LifeState['connection'] }
  /** All that it knows, for a window that has just come. */
  | { readonly kind: 'all'; readonly life: LifeState }
  | { readonly kind: 'hello' };

/**
 * Lets `life` follow a conversation. Of all windows of a browser that show it, one reads and tells the others: a browser opens only six
 * connections to a server, and each window needs one for its messages.
 * @param token of an operator
 * @returns ends it
 */
export function observe(conversation: string, token: () => string | Promise<string>): () => void {
  const end = new AbortController();
  const { signal } = end;
  life.value = emptyLife(conversation);
  const name = `parley-life ${conversation}`;
  const channel = new BroadcastChannel(name);
  const tell = (told: Told): void => channel.postMessage(told);
  let reads = false;
  channel.onmessage = ({ data }: MessageEvent<Told>) => {
    if (data.kind === 'hello') {
      if (reads) tell({ kind: 'all', life: life.value });
    } else if (!reads) {
      life.value = afterTold(life.value, data);
    }
  };
  tell({ kind: 'hello' });
  navigator.locks
    .request(name, { signal }, () => {
      reads = true;
      // The stream begins with the newest facts.
      life.value = emptyLife(conversation);
      return follow(conversation, token, signal, tell);
    })
    .catch(() => undefined);
  return () => {
    end.abort();
    channel.close();
    life.value = emptyLife();
  };
}

function afterTold(before: LifeState, told: Exclude<Told, { kind: 'hello' }>): LifeState {
  switch (told.kind) {
    case 'all':
      return told.life;
    case 'event':
      return withEvent(before, told.event);
    case 'connection':
      return withConnection(before, told.connection);
  }
}

async function follow(
  conversation: string,
  token: () => string | Promise<string>,
  signal: AbortSignal,
  tell: (told: Told) => void,
): Promise<void> {
  const service = new AdminClient(createHttp({ baseUrl: location.origin, token }));
  const isOver = (): boolean => signal.aborted;
  const apply = (told: Exclude<Told, { kind: 'hello' }>): void => {
    if (isOver()) return;
    life.value = afterTold(life.value, told);
    tell(told);
  };
  const connection = (now: LifeState['connection']): void => apply({ kind: 'connection', connection: now });
  const onReconnect = (reason: string): void => connection({ kind: 'away', reason });
  while (!isOver()) {
    try {
      for await (const event of service.life(conversation, { signal, onReconnect })) apply({ kind: 'event', event });
      return;
    } catch (error) {
      if (isOver()) return;
      if (error instanceof ProblemError && (error.status === 401 || error.status === 403)) {
        connection({ kind: 'no-access', reason: error.message });
        return;
      }
      const isUnknown = error instanceof ProblemError && error.status === 404;
      connection(isUnknown ? { kind: 'unknown' } : { kind: 'away', reason: String(error) });
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }
}
