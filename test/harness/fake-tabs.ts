import { onTestFinished } from 'vitest';
import type {
  ChatMessage,
  ChatOptions,
  Locks,
  memoryStore,
  SharedChatOptions,
  TabChannel,
} from '../../client/index.ts';
import { openSharedChat, wakeUp } from '../../client/index.ts';
import type { TestChat } from './chats.ts';
import { listenTo } from './chats.ts';

/** A browser's locks: exclusive, first come, first served, free when the task ends or its tab is gone. */
class FakeLocks {
  /** Who holds each lock, and who waits for it. */
  readonly #queues = new Map<string, (() => Promise<unknown>)[]>();

  /** The locks as one tab sees them. */
  of(gone: AbortSignal): Locks {
    return {
      hold: async (name, task, signal) => {
        await this.#request(name, gone, AbortSignal.any([signal, gone]), task);
      },
      tryHold: async (name, task) => {
        if ((this.#queues.get(name)?.length ?? 0) > 0) return false;
        await this.#request(name, gone, gone, task);
        return true;
      },
    };
  }

  #request(name: string, gone: AbortSignal, signal: AbortSignal, task: () => Promise<void>): Promise<void> {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return new Promise((resolve, reject) => {
      let hasBegun = false;
      const next = (): void => {
        const first = queue[0] === run;
        queue.splice(queue.indexOf(run), 1);
        if (first) void queue[0]?.();
      };
      const run = (): Promise<void> => {
        hasBegun = true;
        const isGone = new Promise<void>((end) => gone.addEventListener('abort', () => end()));
        return Promise.race([task(), isGone]).then(resolve, reject).finally(next);
      };
      signal.addEventListener('abort', () => {
        if (hasBegun) return;
        next();
        reject(new Error('the request for the lock was ended'));
      });
      queue.push(run);
      if (queue.length === 1) void run();
    });
  }
}

/** A tab with a chat that it shares with the others. */
export interface Tab extends Omit<TestChat, 'store' | 'cut'> {
  /** The tab is gone at once: nothing of it goes out, and it writes nothing any more. */
  readonly crash: () => void;
}

/** A browser in which several tabs, and a service worker, use one device. */
export class FakeBrowser {
  readonly store: ReturnType<typeof memoryStore>;
  readonly #options: Omit<ChatOptions, 'store'>;
  readonly #locks = new FakeLocks();
  readonly #name = crypto.randomUUID();

  constructor(options: Omit<ChatOptions, 'store'>, store: ReturnType<typeof memoryStore>) {
    this.#options = options;
    this.store = store;
  }

  async open(): Promise<Tab> {
    const gone = new AbortController();
    const { channel, ...options } = this.#tab(gone.signal);
    const chat = await openSharedChat({ ...options, channel });
    onTestFinished(async () => {
      if (gone.signal.aborted) channel.close();
      else await chat.close();
    });
    return Object.assign(chat, listenTo(chat), { crash: () => gone.abort() });
  }

  /** A push comes, and the service worker begins. */
  async push(): Promise<readonly ChatMessage[] | undefined> {
    const { channel, ...options } = this.#tab(new AbortController().signal);
    channel.close();
    return wakeUp(options);
  }

  #tab(gone: AbortSignal): SharedChatOptions & { readonly channel: TabChannel } {
    const real = new BroadcastChannel(this.#name);
    const alive = <T>(act: () => Promise<T>): Promise<T> => (gone.aborted ? new Promise(() => undefined) : act());
    const { store } = this;
    return {
      ...this.#options,
      url: () => {
        if (gone.aborted) throw new Error('the tab is gone');
        return typeof this.#options.url === 'string' ? this.#options.url : this.#options.url();
      },
      name: this.#name,
      locks: this.#locks.of(gone),
      channel: {
        send: (message) => {
          if (!gone.aborted) real.postMessage(message);
        },
        on: (listener) => {
          const heard = ({ data }: MessageEvent): void => {
            if (!gone.aborted) listener(data as Parameters<typeof listener>[0]);
          };
          real.addEventListener('message', heard as never);
          return () => real.removeEventListener('message', heard as never);
        },
        close: () => real.close(),
      },
      store: {
        get: (key) => alive(() => store.get(key)),
        keys: (prefix) => alive(() => store.keys(prefix)),
        write: (changes) => alive(() => store.write(changes)),
      },
    };
  }
}
