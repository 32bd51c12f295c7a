import pg from 'pg';
import type { DeviceName } from '../key-package/key-packages.ts';

/** Channel of new entries: payload `<conversation id> <last seq>`, with ` c` behind it when more than entries changed. */
export const ENTRIES_CHANNEL = 'parley_entries';
/** Channel of devices: payload = JSON array of user and device, then time and id of a stream if it is about one. */
export const DEVICES_CHANNEL = 'parley_devices';
/** Channel of changed settings: payload = name of the setting. */
export const SETTINGS_CHANNEL = 'parley_settings';

/** Pause after a statement, in which wake-ups of many conversations gather for the next. */
const GATHER_MS = 3;
/** A statement that failed is made again after this time, so many times in a row; then its wake-ups are left to the polls. */
const AGAIN_MS = 200;
const MAX_FAILURES = 10;
const RECONNECT_MS = 500;
/** A session that only listens would not notice for hours that its server's host is gone. */
const HEARTBEAT_MS = 10_000;
const ANSWER_MS = 5000;

/** A stream `/v1/events`; of two of the same device the one with the greater time, then id, is the newer. */
export interface StreamName {
  /** Microseconds since 1970, by the clock of the database. */
  readonly openedAt: number;
  readonly id: string;
}

/** Sends wake-ups after the deciding transaction, never inside it (a commit that notifies takes a database-wide lock). */
export interface Notifier {
  /**
   * Wakes the streams of a conversation, soon. Lossy by nature: streams also poll.
   * @param changed members, roles, policy or the conversation itself changed too
   */
  entry: (conversation: string, lastSeq: number, changed?: boolean) => void;
  /** Something about a device changed: its stock is low, or it is forgotten. */
  device: (user: string, device: string) => void;
  /** A stream of a device was opened: older ones of the same device are to end. */
  stream: (device: DeviceName, stream: StreamName) => void;
  setting: (name: string) => Promise<void>;
}

/** One statement for many conversations, at most one every few milliseconds; the first goes at once. */
export function makeNotifier(pool: pg.Pool, onError: (error: unknown) => void): Notifier {
  let waiting = new Map<string, { seq: number; changed: boolean }>();
  let devices = new Set<string>();
  let busy = false;
  let failures = 0;

  const add = (conversation: string, lastSeq: number, changed: boolean): void => {
    const before = waiting.get(conversation);
    const seq = Math.max(lastSeq, before?.seq ?? 0);
    waiting.set(conversation, { seq, changed: changed || before?.changed === true });
  };
  const notify = async (entries: typeof waiting, names: typeof devices): Promise<void> => {
    const told = [...entries].map(([conversation, { seq, changed }]) => `${conversation} ${seq}${changed ? ' c' : ''}`);
    const payloads = [...told, ...names];
    const channels = payloads.map((_, i) => (i < told.length ? ENTRIES_CHANNEL : DEVICES_CHANNEL));
    try {
      await pool.query({
        name: 'notify',
        text: 'select pg_notify(c, p) from unnest($1::text[], $2::text[]) n (c, p)',
        values: [channels, payloads],
      });
      failures = 0;
    } catch (error) {
      onError(error);
      if (++failures > MAX_FAILURES) return;
      for (const [conversation, { seq, changed }] of entries) add(conversation, seq, changed);
      devices = new Set([...names, ...devices]);
    }
  };
  const flush = async (): Promise<void> => {
    while (waiting.size + devices.size > 0) {
      const [entries, names] = [waiting, devices];
      waiting = new Map();
      devices = new Set();
      await notify(entries, names);
      await new Promise((resolve) => setTimeout(resolve, failures === 0 ? GATHER_MS : AGAIN_MS));
    }
    busy = false;
  };
  const soon = (): void => {
    if (busy) return;
    busy = true;
    void flush();
  };
  return {
    entry: (conversation, lastSeq, changed = false) => {
      add(conversation, lastSeq, changed);
      soon();
    },
    device: (user, device) => {
      devices.add(JSON.stringify([user, device]));
      soon();
    },
    stream: ({ user, device }, { openedAt, id }) => {
      devices.add(JSON.stringify([user, device, openedAt, id]));
      soon();
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
    readonly onEntry: (conversation: string, lastSeq: number, changed: boolean) => void;
    /** @param stream set when one was opened */
    readonly onDevice?: (device: DeviceName, stream?: StreamName) => void;
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
      if (channel === DEVICES_CHANNEL) {
        const [user, device, openedAt, id] = JSON.parse(payload) as [string, string, number?, string?];
        const stream = openedAt === undefined || id === undefined ? undefined : { openedAt, id };
        return handlers.onDevice?.({ user, device }, stream);
      }
      const [conversation = '', seq, flag] = payload.split(' ');
      handlers.onEntry(conversation, Number(seq), flag === 'c');
    });
    session.on('error', handlers.onError);
    session.on('end', () => lose(session));
    try {
      await session.connect();
      await session.query(`listen ${ENTRIES_CHANNEL}; listen ${DEVICES_CHANNEL}; listen ${SETTINGS_CHANNEL}`);
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
