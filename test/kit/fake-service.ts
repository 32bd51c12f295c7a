import { FrameError, parseFrame } from '../../domain/frame.ts';
import { fromBase64, sha256Hex } from './bytes.ts';
import type { DeviceOptions } from './device.ts';
import { ProblemError } from './problem.ts';
import type { CommitBundle, Entry, EntryKind, OutgoingMessage, Page, PendingWelcome } from './types.ts';

type Api = DeviceOptions['api'];

interface Conversation {
  epoch: number;
  readonly members: Set<string>;
  readonly removed: Map<string, number>;
  readonly log: Entry[];
}

const EPOCH_WINDOW = 2;

/** The order, the epoch rule and the Welcomes of the service, in memory; enough to test a device's logic. */
export class FakeService {
  /** Store the next commit, but break the connection before the answer. */
  loseNextAnswer = false;
  readonly #conversations = new Map<string, Conversation>();
  readonly #welcomes = new Map<string, PendingWelcome[]>();

  log(id: string): readonly Entry[] {
    return this.#find(id).log;
  }

  /** The service as `user` sees it. */
  api(user: string): Api {
    return {
      createConversation: async ({ id }) => {
        this.#conversations.set(id, { epoch: 0, members: new Set([user]), removed: new Map(), log: [] });
        const createdAt = new Date().toISOString();
        return Promise.resolve({ id, protocol: 'mls', epoch: 0, lastSeq: 0, memberCount: 1, createdAt });
      },
      welcomes: () => Promise.resolve([...(this.#welcomes.get(user) ?? [])]),
      ackWelcome: (id) => {
        const kept = (this.#welcomes.get(user) ?? []).filter((welcome) => welcome.id !== id);
        return Promise.resolve(void this.#welcomes.set(user, kept));
      },
      commit: async (id, bundle) => Promise.resolve(this.#commit(user, id, bundle)),
      send: async (id, message) => Promise.resolve(this.#send(user, id, message)),
      log: async (id, query) => Promise.resolve(this.#page(user, id, query?.after ?? 0)),
    };
  }

  #commit(user: string, id: string, bundle: CommitBundle): Awaited<ReturnType<Api['commit']>> {
    const conversation = this.#findFor(user, id);
    const bytes = fromBase64(bundle.commit);
    const submittedEpoch = epochOf(bytes);
    const currentEpoch = conversation.epoch;
    if (submittedEpoch !== currentEpoch) {
      const winner = conversation.log.find(({ kind, epoch }) => kind === 'commit' && epoch === submittedEpoch);
      const sha256 = sha256Hex(fromBase64(winner?.ciphertext ?? ''));
      throw problem(409, 'epoch-conflict', { currentEpoch, submittedEpoch, winner: { seq: winner?.seq, sha256 } });
    }
    const entry = append(conversation, 'commit', sha256Hex(bytes), currentEpoch, bundle.commit, user);
    conversation.epoch++;
    for (const added of bundle.adds ?? []) {
      conversation.members.add(added);
      const welcome = { id: `${entry.seq}`, conversation: id, welcome: bundle.welcome ?? '', seq: entry.seq };
      this.#welcomes.set(added, [...(this.#welcomes.get(added) ?? []), { ...welcome, epoch: conversation.epoch }]);
    }
    for (const removed of bundle.removes ?? []) {
      conversation.members.delete(removed);
      conversation.removed.set(removed, entry.seq);
    }
    if (this.loseNextAnswer) {
      this.loseNextAnswer = false;
      throw new TypeError('connection lost');
    }
    return { seq: entry.seq, epoch: conversation.epoch, sha256: entry.id, at: entry.at };
  }

  #send(user: string, id: string, message: OutgoingMessage): Awaited<ReturnType<Api['send']>> {
    const conversation = this.#findFor(user, id);
    const epoch = epochOf(fromBase64(message.ciphertext));
    if (epoch < conversation.epoch - EPOCH_WINDOW) throw problem(409, 'epoch-too-old', {});
    const { seq } = append(conversation, 'application', message.id, epoch, message.ciphertext, user);
    return { id: message.id, seq, epoch, status: 'accepted' };
  }

  #page(user: string, id: string, after: number): Page {
    const { log, removed } = this.#find(id);
    const end = removed.get(user) ?? log.length;
    if (removed.has(user) && after >= end) throw problem(403, 'removed', { seq: end });
    const entries = log.slice(after, Math.min(after + 2, end)); // short pages, so that paging is used
    const last = entries.at(-1)?.seq ?? after;
    return { entries, lastSeq: log.length, ...(last < end ? { next: last } : {}) };
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

function append(
  to: Conversation,
  kind: EntryKind,
  id: string,
  epoch: number,
  ciphertext: string,
  sender: string,
): Entry {
  const entry = { seq: to.log.length + 1, kind, id, epoch, ciphertext, sender, at: new Date().toISOString() };
  to.log.push(entry);
  return entry;
}

function epochOf(bytes: Uint8Array): number {
  const frame = parseFrame(bytes);
  if (frame instanceof FrameError || !('epoch' in frame) || frame.epoch === 'beyond')
    throw problem(400, 'malformed', {});
  return frame.epoch;
}

function problem(status: number, code: string, details: Record<string, unknown>): ProblemError {
  return new ProblemError({ title: code, code, ...details }, new Response(null, { status }));
}
