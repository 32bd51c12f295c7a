import pg from 'pg';
import type { DeviceName } from '../key-package/key-packages.ts';
import { integer, text } from '../row.ts';
import { type DatabaseServer, connectionOf } from '../server.ts';

/** Channel of conversations. Payload: `<conversation id> <last seq>`, and then ` c` if more than entries changed. */
export const ENTRIES_CHANNEL = 'parley_entries';
/** Channel of devices. Payload: JSON array of user and device; for a new stream then also `openedAt` and its id. */
export const DEVICES_CHANNEL = 'parley_devices';
/** Channel of read marks. Payload: JSON array of user and conversation. */
const READS_CHANNEL = 'parley_reads';
/** Channel of signals (`store/signal/`). Payload: `<conversation id> <last seq> <key of its last change> <base64>`, then ` <user>` in an opaque conversation. */
export const SIGNALS_CHANNEL = 'parley_signals';
/** Channel of changed settings. Payload: name of the setting. */
export const SETTINGS_CHANNEL = 'parley_settings';

/** Pause after a statement. Notifications of this time are sent together by the next statement. */
const GATHER_MS = 3;
/** Pause after a statement that failed. */
const RETRY_MS = 200;
/** After more failures in a row, notifications are dropped: the polls find what they would have said. */
const MAX_FAILURES = 10;
const RECONNECT_MS = 500;
/** Without queries, a listening session would not notice for hours that its server's host is gone. */
const HEARTBEAT_MS = 10_000;
const ANSWER_MS = 5000;

/** Identifies an account stream. Of two streams of a device, the newer one has the greater `openedAt`, then `id`. */
export interface StreamName {
  /** Microseconds since 1970, by the clock of Postgres. */
  readonly openedAt: number;
  /** UUID. */
  readonly id: string;
}

/**
 * Sends notifications to all processes. Used after the deciding transaction, never inside it: a commit that notifies takes
 * a database-wide lock. Notifications can get lost, so streams also poll.
 */
export interface Notifier {
  /**
   * Wakes the streams of a conversation, soon.
   * @param changed members, roles, policy or the conversation itself changed too
   */
  entry: (conversation: string, lastSeq: number, changed?: boolean) => void;
  /** Something about a device changed: its stock is low, or it was forgotten. */
  device: (user: string, device: string) => void;
  /** A device opened an account stream: its older streams must end. */
  stream: (device: DeviceName, stream: StreamName) => void;
  /** A user moved its read mark in a conversation. */
  read: (user: string, conversation: string) => void;
  setting: (name: string) => Promise<void>;
}

/** Sends one statement for many conversations, at most one every few milliseconds. The first is sent at once. */
export function makeNotifier(pool: pg.Pool, onError: (error: unknown) => void): Notifier {
  let conversations = new Map<string, { seq: number; changed: boolean }>();
  /** Payloads. */
  let devices = new Set<string>();
  /** Payloads. What is lost, the polls of streams find. */
  let reads = new Set<string>();
  let isSending = false;
  let failures = 0;

  const add = (conversation: string, lastSeq: number, changed: boolean): void => {
    const waiting = conversations.get(conversation);
    const seq = Math.max(lastSeq, waiting?.seq ?? 0);
    conversations.set(conversation, { seq, changed: changed || waiting?.changed === true });
  };
  const notify = async (
    entries: typeof conversations,
    devicePayloads: typeof devices,
    readPayloads: typeof reads,
  ): Promise<void> => {
    const notices = [
      ...[...entries].map(([id, { seq, changed }]) => [ENTRIES_CHANNEL, `${id} ${seq}${changed ? ' c' : ''}`] as const),
      ...[...devicePayloads].map((payload) => [DEVICES_CHANNEL, payload] as const),
      ...[...readPayloads].map((payload) => [READS_CHANNEL, payload] as const),
    ];
    try {
      await pool.query({
        name: 'notify',
        text: 'select pg_notify(c, p) from unnest($1::text[], $2::text[]) n (c, p)',
        values: [notices.map(([channel]) => channel), notices.map(([, payload]) => payload)],
      });
      failures = 0;
    } catch (error) {
      onError(error);
      if (++failures > MAX_FAILURES) return;
      for (const [conversation, { seq, changed }] of entries) add(conversation, seq, changed);
      devices = new Set([...devicePayloads, ...devices]);
    }
  };
  const sendAll = async (): Promise<void> => {
    while (conversations.size + devices.size + reads.size > 0) {
      const [entries, devicePayloads, readPayloads] = [conversations, devices, reads];
      conversations = new Map();
      devices = new Set();
      reads = new Set();
      await notify(entries, devicePayloads, readPayloads);
      await new Promise((resolve) => setTimeout(resolve, failures === 0 ? GATHER_MS : RETRY_MS));
    }
    isSending = false;
  };
  const sendSoon = (): void => {
    if (isSending) return;
    isSending = true;
    void sendAll();
  };
  return {
    entry: (conversation, lastSeq, changed = false) => {
      add(conversation, lastSeq, changed);
      sendSoon();
    },
    device: (user, device) => {
      devices.add(JSON.stringify([user, device]));
      sendSoon();
    },
    stream: ({ user, device }, { openedAt, id }) => {
      devices.add(JSON.stringify([user, device, openedAt, id]));
      sendSoon();
    },
    read: (user, conversation) => {
      reads.add(JSON.stringify([user, conversation]));
      sendSoon();
    },
    setting: async (name) => {
      await pool.query('select pg_notify($1, $2)', [SETTINGS_CHANNEL, name]);
    },
  };
}

export interface Listener {
  /** False while the session is down. Streams then get their news from their poll. */
  readonly connected: () => boolean;
  readonly close: () => Promise<void>;
}

/**
 * Opens a session that listens until it is closed, and reconnects by itself. It does not work through a pooler in
 * transaction mode: LISTEN belongs to a session.
 * @param server where a connection is a session (`DATABASE_DIRECT_URL`)
 */
export function listen(
  server: DatabaseServer,
  handlers: {
    readonly onEntry: (conversation: string, lastSeq: number, changed: boolean) => void;
    /** @param stream set when the device opened an account stream */
    readonly onDevice?: (device: DeviceName, stream?: StreamName) => void;
    /** A user moved its read mark in a conversation. */
    readonly onRead?: (user: string, conversation: string) => void;
    readonly onSetting: (name: string) => void;
    /** A notification of {@link SIGNALS_CHANNEL}. @default signals are not heard */
    readonly onSignal?: (payload: string) => void;
    /** After each connect. Notifications before it may be lost: check everything once. */
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
    // Without waiting: a dead host never answers.
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
  const receive = (channel: string, payload: string): void => {
    if (channel === SETTINGS_CHANNEL) return handlers.onSetting(payload);
    if (channel === SIGNALS_CHANNEL) return handlers.onSignal?.(payload);
    if (channel === DEVICES_CHANNEL) {
      const { device, stream } = parseDevicePayload(payload);
      return handlers.onDevice?.(device, stream);
    }
    if (channel === READS_CHANNEL) {
      const [user = '', conversation = ''] = JSON.parse(payload) as string[];
      return handlers.onRead?.(user, conversation);
    }
    const [conversation = '', seq, flag] = payload.split(' ');
    handlers.onEntry(conversation, Number(seq), flag === 'c');
  };
  const connect = async (): Promise<void> => {
    const session = new pg.Client({
      ...connectionOf(server),
      application_name: 'parley-listen',
      query_timeout: ANSWER_MS,
    });
    client = session;
    session.on('notification', ({ channel, payload = '' }) => {
      if (closed) return;
      try {
        receive(channel, payload);
      } catch (error) {
        handlers.onError(error);
      }
    });
    session.on('error', handlers.onError);
    session.on('end', () => lose(session));
    try {
      await session.connect();
      const channels = [ENTRIES_CHANNEL, DEVICES_CHANNEL, READS_CHANNEL, SETTINGS_CHANNEL];
      if (handlers.onSignal !== undefined) channels.push(SIGNALS_CHANNEL);
      await session.query(channels.map((channel) => `listen ${channel}`).join('; '));
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

/** @param payload of {@link DEVICES_CHANNEL}. @throws TypeError or SyntaxError */
function parseDevicePayload(payload: string): { readonly device: DeviceName; readonly stream?: StreamName } {
  const [user, device, openedAt, id] = JSON.parse(payload) as unknown[];
  const row = { user, device, openedAt, id };
  const name = { user: text(row, 'user'), device: text(row, 'device') };
  if (openedAt === undefined) return { device: name };
  return { device: name, stream: { openedAt: integer(row, 'openedAt'), id: text(row, 'id') } };
}
