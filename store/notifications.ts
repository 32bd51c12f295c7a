import pg from 'pg';

/** Channel of new entries: payload `<conversation id> <last seq>`. */
export const ENTRIES_CHANNEL = 'parley_entries';
/** Channel of changed settings: payload = name of the setting. */
export const SETTINGS_CHANNEL = 'parley_settings';

/** Pause after a statement, in which wake-ups of many conversations gather for the next. */
const GATHER_MS = 3;
const RECONNECT_MS = 500;
/** A session that only listens would not notice for hours that its server's host is gone. */
const HEARTBEAT_MS = 10_000;
const ANSWER_MS = 5000;

/** Sends wake-ups after the deciding transaction, never inside it (a commit that notifies takes a database-wide lock). */
export interface Notifier {
  /** Wakes the streams of a conversation, soon. Lossy by nature: streams also poll. */
  entry: (conversation: string, lastSeq: number) => void;
  setting: (name: string) => Promise<void>;
}

/** One statement for many conversations, at most one every few milliseconds; the first goes at once. */
export function makeNotifier(pool: pg.Pool, onError: (error: unknown) => void): Notifier {
  let waiting = new Map<string, number>();
  let busy = false;

  const flush = async (): Promise<void> => {
    while (waiting.size > 0) {
      const payloads = [...waiting].map(([conversation, seq]) => `${conversation} ${seq}`);
      waiting = new Map();
      await pool
        .query({
          name: 'notify',
          text: `select pg_notify('${ENTRIES_CHANNEL}', p) from unnest($1::text[]) p`,
          values: [payloads],
        })
        .catch(onError);
      await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
    }
    busy = false;
  };
  return {
    entry: (conversation, lastSeq) => {
      waiting.set(conversation, Math.max(lastSeq, waiting.get(conversation) ?? 0));
      if (busy) return;
      busy = true;
      void flush();
    },
    setting: async (name) => {
      await pool.query('select pg_notify($1, $2)', [SETTINGS_CHANNEL, name]);
    },
  };
}

export interface Listener {
  /** False while the session is down; streams then live on their poll. */
  readonly connected: () => boolean;
  readonly close: () => Promise<void>;
}

/**
 * One session of its own that listens for ever, reconnecting by itself (never through a transaction-mode pooler).
 * @param onConnect called after each connect: whatever was notified before it may be lost, so look everywhere once
 */
export function listen(
  url: string,
  handlers: {
    readonly onEntry: (conversation: string, lastSeq: number) => void;
    readonly onSetting: (name: string) => void;
    readonly onConnect: () => void;
    readonly onError: (error: unknown) => void;
  },
): Listener {
  let client: pg.Client | undefined;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let up = false;

  const lose = (lost: pg.Client): void => {
    if (client !== lost) return;
    client = undefined;
    up = false;
    // Not waited for: a dead host never answers, and its socket is given up with the client.
    lost.end().catch(() => undefined);
    clearTimeout(timer);
    if (!closed) timer = setTimeout(() => void connect(), RECONNECT_MS);
  };
  const heartbeat = async (session: pg.Client): Promise<void> => {
    try {
      await session.query('select 1');
      if (client === session) timer = setTimeout(() => void heartbeat(session), HEARTBEAT_MS);
    } catch (error) {
      handlers.onError(error);
      lose(session);
    }
  };
  const connect = async (): Promise<void> => {
    const session = new pg.Client({
      connectionString: url,
      application_name: 'parley-listen',
      keepAlive: true,
      connectionTimeoutMillis: 3000,
      query_timeout: ANSWER_MS,
    });
    client = session;
    session.on('notification', ({ channel, payload = '' }) => {
      if (closed) return;
      if (channel === SETTINGS_CHANNEL) return handlers.onSetting(payload);
      const space = payload.indexOf(' ');
      handlers.onEntry(payload.slice(0, space), Number(payload.slice(space + 1)));
    });
    session.on('error', handlers.onError);
    session.on('end', () => lose(session));
    try {
      await session.connect();
      await session.query(`listen ${ENTRIES_CHANNEL}; listen ${SETTINGS_CHANNEL}`);
    } catch (error) {
      if (!closed) handlers.onError(error);
      lose(session);
      return;
    }
    if (closed || client !== session) return;
    up = true;
    timer = setTimeout(() => void heartbeat(session), HEARTBEAT_MS);
    handlers.onConnect();
  };
  void connect();
  return {
    connected: () => up,
    close: async () => {
      closed = true;
      up = false;
      clearTimeout(timer);
      await client?.end().catch(() => undefined);
    },
  };
}
