import { signal } from '@preact/signals';
import { AdminClient, createHttp, ProblemError } from '../../client/index.ts';
import { emptyLife, type LifeState, withEvent } from './model/life-state.ts';

/** The life of the conversation that is open. */
export const life = signal<LifeState>(emptyLife());
/** An operator's token that somebody pasted, where no control server gives one. In memory only. */
export const pastedToken = signal<string | undefined>(undefined);

/** A conversation that the service does not know may come: it is looked for again after this time. */
const LOOK_AGAIN_MS = 3_000;

/**
 * Lets `life` follow a conversation.
 * @param token of an operator
 * @returns ends it
 */
export function observe(conversation: string, token: () => string | Promise<string>): () => void {
  const end = new AbortController();
  life.value = emptyLife(conversation);
  void follow(conversation, token, end.signal);
  return () => {
    end.abort();
    life.value = emptyLife();
  };
}

async function follow(conversation: string, token: () => string | Promise<string>, signal: AbortSignal): Promise<void> {
  const service = new AdminClient(createHttp({ baseUrl: location.origin, token }));
  const isOver = (): boolean => signal.aborted;
  const onReconnect = (reason: string): void => connection({ kind: 'away', reason });
  while (!isOver()) {
    try {
      for await (const event of service.life(conversation, { signal, onReconnect })) {
        if (isOver()) return;
        life.value = withEvent(life.value, event);
      }
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

function connection(now: LifeState['connection']): void {
  life.value = { ...life.value, connection: now };
}
