import type pg from 'pg';
import { joinerOf } from './joiner.ts';
import type { Entry, ReceivedMessage } from '../../client/index.ts';
import { memoryStore } from '../../client/index.ts';
import { GroupLog, GroupStore, trustingMls, usersByLeaf } from '../../client/testing.ts';

/** An epoch in the replay. */
export interface ReferenceEpoch {
  /** `seq` of the commit that started it. */
  readonly from: number;
  readonly authenticator: string;
  /** Signature keys of its leaves, base64. */
  readonly keys: ReadonlySet<string>;
  readonly members: readonly string[];
}

/** The whole conversation, replayed from the database. */
export interface Reference {
  readonly lastSeq: number;
  readonly epochs: ReadonlyMap<number, ReferenceEpoch>;
  readonly messages: ReadonlyMap<number, ReceivedMessage>;
  readonly messageIds: ReadonlyMap<number, string>;
  /** `seq` of the external commits of each device, by its signature key (base64). */
  readonly externalJoins: ReadonlyMap<string, readonly number[]>;
  /** `seq` of the messages that the replay could not decrypt. */
  readonly undecryptable: readonly number[];
}

/** Reads the log with the state of a device that has done nothing since. This state can decrypt all later entries. */
export async function replay(
  pool: pg.Pool,
  id: string,
  auditor: { readonly user: string; readonly entries: Iterable<readonly [string, string]> },
): Promise<Reference> {
  const { rows } = await pool.query<Entry & { kind: Entry['kind'] }>(
    `select e.seq, e.kind, e.epoch, e.message_id as id, encode(e.ciphertext, 'base64') as ciphertext
     from entry e join conversation c on c.key = e.conversation where c.id = $1 order by e.seq`,
    [id],
  );
  const deviceStore = memoryStore(auditor.entries);
  const mls = await trustingMls();
  const store = new GroupStore(deviceStore, id, mls);
  const record = await store.load();
  if (record === undefined) throw new Error('The auditor has no state');
  const api = { log: () => Promise.reject(new Error('The replay reads no log')) };
  const log = new GroupLog({
    ...{ api, mls, store, id, user: auditor.user, record, history: [] },
    onMessage: () => undefined,
    onDeleted: () => undefined,
    onJoinRequest: () => undefined,
    remember: () => Promise.resolve(),
    onLogEvent: () => undefined,
  });
  const epochs = new Map<number, ReferenceEpoch>();
  const note = (): void => {
    if (epochs.has(log.epoch)) return;
    const { view } = log;
    const keys = new Set([...view.leaves.values()].map(({ device }) => device));
    const members = [...usersByLeaf(view).values()].sort();
    epochs.set(log.epoch, { from: log.position, authenticator: view.epochAuthenticator, keys, members });
  };
  note();
  const messageIds = new Map<number, string>();
  const externalJoins = new Map<string, number[]>();
  for (const row of rows) {
    const joiner = row.kind === 'commit' ? joinerOf(row.ciphertext ?? '') : undefined;
    if (joiner !== undefined) externalJoins.set(joiner, [...(externalJoins.get(joiner) ?? []), row.seq]);
    if (row.kind === 'application' && row.id !== undefined) messageIds.set(row.seq, row.id);
    if (row.seq <= log.position) continue;
    await log.process({ ...row, ciphertext: row.ciphertext?.replaceAll('\n', '') ?? '' });
    note();
  }
  const messages = new Map(log.history.map((message) => [message.seq, message]));
  return { lastSeq: log.position, epochs, messages, messageIds, externalJoins, undecryptable: log.undecryptable };
}
