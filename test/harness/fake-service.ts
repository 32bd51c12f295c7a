import { createHash } from 'node:crypto';
import type {
  CommitBundle,
  DeviceApi,
  Entry,
  EntryKind,
  LogPage,
  OutgoingMessage,
  PendingWelcome,
  Positions,
  Report,
} from '../../client/index.ts';
import { fromBase64, ProblemError, toBase64 } from '../../client/index.ts';
import { decodeMessage } from '../../client/testing.ts';
import { FrameError, parseFrame } from '../../mls/frame.ts';
import { chainAfter } from '../../store/log/chain.ts';
import { FakeKeyPackages } from './fake-key-packages.ts';

interface Conversation {
  epoch: number;
  groupInfo: string | undefined;
  successor?: string;
  readonly members: Set<string>;
  readonly leaving: Set<string>;
  /** Last `seq` that each removed user may read. */
  readonly removed: Map<string, number>;
  readonly log: Entry[];
  /** Value of the chain over the log, up to its end. */
  chain: Uint8Array;
  readonly reports: (Report & { readonly user: string })[];
}

const EPOCH_WINDOW = 2;

/** The log, the epoch rule, the key packages and the Welcomes of the service, in memory: enough to test a device. */
export class FakeService {
  /** Stores the next commit, but breaks the connection before the answer. */
  loseNextAnswer = false;
  /** Accepts the next commit, but stores other bytes in its place, which no device can process. */
  corruptNextCommit = false;
  /** Says that its logs do not go on from any position. */
  isRestarted = false;
  readonly keyPackages = new FakeKeyPackages();
  /** Signals that were sent, base64. */
  readonly signals: string[] = [];
  /** One ExternalSender, base64. */
  externalSender = '';
  /** Acknowledged positions, by `user/device`. */
  readonly acks = new Map<string, Positions>();
  readonly #conversations = new Map<string, Conversation>();
  /** By message id. */
  readonly #deleteHashes = new Map<string, string>();
  readonly #welcomes: (PendingWelcome & { readonly user: string; readonly device: string })[] = [];

  deleteHash(messageId = ''): string | undefined {
    return this.#deleteHashes.get(messageId);
  }

  log(id: string): readonly Entry[] {
    return this.#find(id).log;
  }

  reports(id: string): readonly Report[] {
    return this.#find(id).reports;
  }

  /** Puts an entry into the log that the client library did not make. */
  plant(id: string, kind: EntryKind, ciphertext: string, sender: string): void {
    const conversation = this.#find(id);
    append(conversation, kind, sha256Hex(fromBase64(ciphertext)), conversation.epoch, ciphertext, sender);
  }

  /** Gives out another GroupInfo from now on. */
  plantGroupInfo(id: string, groupInfo: string): void {
    this.#find(id).groupInfo = groupInfo;
  }

  /** Names a conversation as the successor of another one. */
  supersede(id: string, successor: string): void {
    this.#find(id).successor = successor;
  }

  /** The service as one device sees it. */
  api(user: string, device = 'phone'): DeviceApi {
    const own = { user, device };
    const now = async <T>(task: () => T): Promise<T> => Promise.resolve().then(task);
    return {
      ...this.keyPackages.api(own),
      createConversation: ({ id, groupInfo }) =>
        now(() => {
          const before = this.#conversations.get(id);
          if (before !== undefined && before.log.length + Number(before.groupInfo !== groupInfo) > 0) {
            throw problem(409, 'conversation-exists', {});
          }
          this.#conversations.set(id, emptyConversation(id, [user], groupInfo));
          const createdAt = new Date().toISOString();
          return { id, protocol: 'mls' as const, epoch: 0, lastSeq: 0, memberCount: 1, createdAt };
        }),
      welcomes: () => now(() => this.#welcomes.filter((one) => one.user === user && one.device === device)),
      ackWelcome: (id) =>
        now(() => {
          const index = this.#welcomes.findIndex((one) => one.id === id);
          if (index >= 0) this.#welcomes.splice(index, 1);
        }),
      commit: (id, bundle) => now(() => this.#commit(user, id, bundle)),
      signal: (_id, data) => now(() => void this.signals.push(data)),
      send: (id, message) => now(() => this.#send(user, id, message)),
      deleteMessage: (id, seq, secret) => now(() => this.#delete(user, id, seq, secret)),
      deletions: (id) =>
        now(() =>
          this.#findFor(user, id).log.flatMap((entry) =>
            entry.kind === 'application' && entry.deleted === true ? [entry.seq] : [],
          ),
        ),
      log: (id, query) => now(() => this.#page(user, id, Number.parseInt(String(query?.after ?? 0), 10))),
      // Its logs are never cut, whatever it says.
      positions: (_id, positions) => now(() => (this.isRestarted ? undefined : positions.at(-1))),
      leave: (id, leaver, leaving) =>
        now(() => {
          const conversation = this.#findFor(user, id);
          const { seq } = this.#send(user, id, { id: `leave-${leaver}`, ciphertext: leaving?.proposal ?? '' });
          conversation.members.delete(user);
          conversation.removed.set(user, seq);
          conversation.leaving.add(user);
          return { epoch: conversation.epoch, seq };
        }),
      members: (id) =>
        now(() => {
          const { members, leaving } = this.#findFor(user, id);
          const member = { role: 'member' as const, joinedSeq: 0, joinedEpoch: 0 };
          return { members: [...members].map((name) => ({ ...member, user: name })), leaving: [...leaving] };
        }),
      groupInfo: (id) =>
        now(() => {
          const { epoch, groupInfo } = this.#findFor(user, id);
          if (groupInfo === undefined) throw problem(404, 'group-info-missing', {});
          return { epoch, groupInfo };
        }),
      supplyGroupInfo: (id, groupInfo) => now(() => void (this.#findFor(user, id).groupInfo ??= groupInfo)),
      report: (id, report) =>
        now(() => {
          const { reports, members } = this.#findFor(user, id);
          reports.push({ ...report, user });
          const needed = Math.floor(members.size / 2) + 1;
          return { reports: reports.length, needed, open: reports.length >= needed };
        }),
      reset: (id, successor) =>
        now(() => {
          const conversation = this.#findFor(user, id);
          conversation.successor = successor;
          this.#conversations.set(successor, emptyConversation(successor, conversation.members));
        }),
      ack: (positions) =>
        now(() => {
          const seqs = Object.entries(positions).map(([id, position]) => [id, seqOf(position)] as const);
          this.acks.set(`${user}/${device}`, Object.fromEntries(seqs));
          return { positions: Object.fromEntries(seqs), restarted: {} };
        }),
      externalSender: () => now(() => this.externalSender),
      epoch: (id) => now(() => this.#find(id).epoch),
      followAll: () => {
        throw new Error('the fake service has no account stream');
      },
    };
  }

  #commit(user: string, id: string, bundle: CommitBundle): Awaited<ReturnType<DeviceApi['commit']>> {
    const conversation = this.#findFor(user, id);
    refuseSuperseded(conversation);
    const bytes = fromBase64(bundle.commit);
    const again = conversation.log.find(({ kind, ciphertext }) => kind === 'commit' && ciphertext === bundle.commit);
    if (again !== undefined) return accepted(again);
    const submittedEpoch = epochOf(bytes);
    const currentEpoch = conversation.epoch;
    if (submittedEpoch !== currentEpoch) {
      const winner = conversation.log.find(({ kind, epoch }) => kind === 'commit' && epoch === submittedEpoch);
      const sha256 = sha256Hex(fromBase64(winner?.ciphertext ?? ''));
      const after =
        conversation.log.find(({ kind, epoch }) => kind === 'commit' && epoch === submittedEpoch - 1)?.seq ?? 0;
      throw problem(409, 'epoch-conflict', {
        currentEpoch,
        submittedEpoch,
        winner: { seq: winner?.seq, sha256 },
        after,
      });
    }
    const refs = refsOf(bundle.welcome);
    const welcomed = this.keyPackages.use(refs, id);
    const stored = this.corruptNextCommit ? toBase64(corrupted(bytes)) : bundle.commit;
    this.corruptNextCommit = false;
    const entry = append(conversation, 'commit', sha256Hex(bytes), currentEpoch, stored, user);
    conversation.epoch++;
    conversation.groupInfo = bundle.groupInfo;
    for (const added of bundle.adds ?? []) {
      conversation.members.add(added);
      conversation.removed.delete(added);
      conversation.leaving.delete(added);
    }
    for (const [i, owner] of welcomed.entries()) {
      const welcome = { conversation: id, welcome: bundle.welcome ?? '', seq: entry.seq, epoch: conversation.epoch };
      this.#welcomes.push({ id: `${id}-${entry.seq}-${i}`, ...welcome, ...owner });
    }
    for (const removed of bundle.removes ?? []) {
      conversation.members.delete(removed);
      conversation.leaving.delete(removed);
      if (!conversation.removed.has(removed)) conversation.removed.set(removed, entry.seq);
    }
    if (this.loseNextAnswer) {
      this.loseNextAnswer = false;
      throw new TypeError('connection lost');
    }
    return accepted(entry);
  }

  #send(user: string, id: string, message: OutgoingMessage): Awaited<ReturnType<DeviceApi['send']>> {
    const conversation = this.#findFor(user, id);
    refuseSuperseded(conversation);
    const bytes = fromBase64(message.ciphertext);
    const epoch = epochOf(bytes);
    const kind = kindOf(bytes);
    const again = conversation.log.find((entry) => entry.id === message.id);
    if (again !== undefined) {
      if (again.ciphertext !== message.ciphertext) throw problem(422, 'id-reused', { seq: again.seq });
      return { id: message.id, seq: again.seq, epoch: again.epoch, status: 'duplicate', chain: again.chain ?? '' };
    }
    if (kind === 'proposal' && epoch !== conversation.epoch) throw problem(409, 'proposal-stale', {});
    if (epoch < conversation.epoch - EPOCH_WINDOW) throw problem(409, 'epoch-too-old', {});
    const { seq, chain } = append(conversation, kind, message.id, epoch, message.ciphertext, undefined);
    if (message.deleteHash !== undefined) this.#deleteHashes.set(message.id, message.deleteHash);
    return { id: message.id, seq, epoch, status: 'accepted', chain };
  }

  #delete(user: string, id: string, seq: number, secret = ''): Awaited<ReturnType<DeviceApi['deleteMessage']>> {
    const { log } = this.#findFor(user, id);
    const entry = log[seq - 1];
    if (entry?.kind !== 'application') throw problem(404, 'not-found', {});
    const hash = this.#deleteHashes.get(entry.id ?? '');
    if (hash !== sha256Hex(fromBase64(secret))) throw problem(403, 'not-allowed', {});
    const { kind, epoch, ciphertext = '', chain } = entry;
    const left = {
      seq,
      kind,
      epoch,
      sha256: sha256Hex(fromBase64(ciphertext)),
      deleted: true,
      ...(chain === undefined ? {} : { chain }),
    } as const;
    log[seq - 1] = left;
    return left;
  }

  #page(user: string, id: string, after: number): LogPage {
    const { log, removed, members } = this.#find(id);
    if (!members.has(user) && !removed.has(user)) throw problem(404, 'not-found', {});
    if (this.isRestarted) throw problem(409, 'log-restarted', { lastSeq: log.length, oldestSeq: 1 });
    const end = removed.get(user) ?? log.length;
    if (removed.has(user) && after >= end) throw problem(403, 'removed', { seq: end });
    const entries = log.slice(after, Math.min(after + 2, end)); // short pages, so that paging is used
    const last = entries.at(-1)?.seq ?? after;
    return { entries, lastSeq: log.length, position: String(last), ...(last < end ? { next: last } : {}) };
  }

  #findFor(user: string, id: string): Conversation {
    const conversation = this.#find(id);
    const seq = conversation.removed.get(user);
    if (seq !== undefined) throw problem(403, 'removed', { seq });
    if (!conversation.members.has(user)) throw problem(404, 'not-found', {});
    return conversation;
  }

  #find(id: string): Conversation {
    const conversation = this.#conversations.get(id);
    if (conversation === undefined) throw problem(404, 'not-found', {});
    return conversation;
  }
}

function emptyConversation(id: string, members: Iterable<string>, groupInfo?: string): Conversation {
  const groupId = Buffer.from(id, 'base64url');
  const head = [Buffer.from('parley log v1'), Buffer.of(groupId.length), groupId, Buffer.of(1), Buffer.alloc(8)];
  const chain = createHash('sha256').update(Buffer.concat(head)).digest();
  const rest = { leaving: new Set<string>(), removed: new Map<string, number>(), log: [], reports: [], chain };
  return { epoch: 0, groupInfo, members: new Set(members), ...rest };
}

/** The seq of a position. */
function seqOf(position: string | number): number {
  return Number.parseInt(String(position), 10);
}

function refuseSuperseded({ successor }: Conversation): void {
  if (successor !== undefined) throw problem(410, 'superseded', { successor });
}

function accepted({
  seq,
  epoch,
  ciphertext = '',
  at = '',
  chain = '',
}: Entry): Awaited<ReturnType<DeviceApi['commit']>> {
  return { seq, epoch: epoch + 1, sha256: sha256Hex(fromBase64(ciphertext)), at, chain };
}

function append(
  to: Conversation,
  kind: EntryKind,
  id: string,
  epoch: number,
  ciphertext: string,
  sender: string | undefined,
): Entry & { readonly id: string; readonly at: string; readonly chain: string } {
  const at = new Date().toISOString();
  const seq = to.log.length + 1;
  const sha256 = createHash('sha256').update(fromBase64(ciphertext)).digest();
  to.chain = chainAfter(to.chain, { seq, kind, epoch, sha256 });
  const entry = {
    ...{ seq, kind, id, epoch, ciphertext, at },
    chain: toBase64(to.chain),
    ...(sender === undefined ? {} : { sender }),
  };
  to.log.push(entry);
  return entry;
}

/** The same frame with wrong bytes at its end. */
function corrupted(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  copy.set(createHash('sha256').update(bytes).digest().subarray(0, 8), copy.length - 8);
  return copy;
}

function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** KeyPackageRefs of a Welcome, base64. */
function refsOf(welcome: string | undefined): string[] {
  if (welcome === undefined) return [];
  const message = decodeMessage(welcome);
  return message.wireformat === 'mls_welcome'
    ? message.welcome.secrets.map(({ newMember }) => toBase64(newMember))
    : [];
}

function epochOf(bytes: Uint8Array): number {
  const frame = parseFrame(bytes);
  if (frame instanceof FrameError || !('epoch' in frame) || frame.epoch === 'beyond')
    throw problem(400, 'malformed', {});
  return frame.epoch;
}

function kindOf(bytes: Uint8Array): EntryKind {
  const frame = parseFrame(bytes);
  if (frame instanceof FrameError || !('contentType' in frame)) throw problem(400, 'malformed', {});
  return frame.contentType;
}

/** An unsuccessful answer of the service. */
export function problem(status: number, code: string, details: Record<string, unknown>): ProblemError {
  return new ProblemError({ title: code, code, ...details }, new Response(null, { status }));
}
