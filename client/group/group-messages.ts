import type { ParleyClient } from '../api/parley-client.ts';
import type { ProblemError } from '../api/problem.ts';
import { documentOf, hasCode, isRefusal } from '../api/problem.ts';
import type { Problem, PushLevel, SendResult } from '../api/types.ts';
import { digestOf } from '../chain/values.ts';
import type { MlsLibrary } from '../mls/mls-library.ts';
import { fromBase64, newId, sha256Hex } from '../platform/bytes.ts';
import type { QueuedMessage, SentMessage } from '../storage/group-store.ts';
import { planPending } from './changes.ts';
import type { DeletionSecrets } from './deletion-secrets.ts';
import type { GroupCommits } from './group-commits.ts';
import type { GroupLog } from './group-log.ts';

/** How a message is sent. */
export interface SendOptions {
  /** How it wakes devices that sleep; `none` for receipts, for example. @default 'normal' */
  readonly push?: PushLevel;
}

/** A message of this device that its log does not have yet. */
export interface OutboxMessage {
  /** Message id. It stays the same. */
  readonly id: string;
  readonly text: string;
  /** Milliseconds since 1970: when it was written. */
  readonly at: number;
  readonly state:
    | { readonly kind: 'waiting' }
    | { readonly kind: 'sent'; readonly seq: number }
    | { readonly kind: 'refused'; readonly problem: Problem };
}

export interface MessagesOptions {
  readonly api: Pick<ParleyClient, 'send'>;
  readonly mls: MlsLibrary;
  /** Conversation id. */
  readonly id: string;
  readonly deletionSecrets: DeletionSecrets;
  /** Called when the state of a message of the outbox has changed, after the store has it. */
  readonly onOutgoing: (message: OutboxMessage) => void;
}

/** What messages need of the group. */
export interface MessagesParts {
  readonly log: GroupLog;
  readonly commits: GroupCommits;
  readonly catchUp: () => Promise<void>;
}

const MAX_ATTEMPTS = 20;
/** The group has gone on: the message is encrypted again, for the epoch that the log has come to. */
const OUTDATED_CODES = ['epoch-too-old', 'removal-pending', 'commit-required'] as const;
/** The message is not refused for what it is: it waits for another session, a repair, the successor, or until the user is back. */
const WAITING_CODES = ['unauthenticated', 'log-restarted', 'epoch-ahead', 'superseded', 'removed'] as const;

/** The messages that a device sends to a group: at once, or through an outbox that survives everything. Call it in turn. */
export class GroupMessages {
  readonly #options: MessagesOptions;
  readonly #parts: MessagesParts;
  /** Tries of the first message of the outbox for which the group had gone on. */
  #outdated = 0;

  constructor(options: MessagesOptions, parts: MessagesParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** What the log does not have yet, in the order in which it is sent. What was refused stays in its place. */
  get outbox(): readonly OutboxMessage[] {
    const { log } = this.#parts;
    const sent = [...log.sent].flatMap(([entryId, message]) => {
      const { queued, accepted, messageId = entryId, text } = message;
      if (queued === undefined) return [];
      const state =
        accepted === undefined ? ({ kind: 'waiting' } as const) : ({ kind: 'sent', seq: accepted.seq } as const);
      return [{ id: messageId, text, at: queued.at, state }];
    });
    return [...sent, ...log.outbox.map(shown)];
  }

  /** Puts a message into the outbox. It is durable when this returns. A message that is known is not taken again. */
  async enqueue(message: QueuedMessage): Promise<void> {
    const { log } = this.#parts;
    if (this.#isKnown(message.id)) return;
    log.outbox.push(message);
    await this.#save(() => log.outbox.splice(log.outbox.indexOf(message), 1));
    this.#options.onOutgoing(shown(message));
  }

  /** Saves a change. What the store does not take is taken back: it must not be sent after the caller was told that it failed. */
  async #save(takeBack: () => unknown): Promise<void> {
    try {
      await this.#parts.log.save();
    } catch (error) {
      takeBack();
      throw error;
    }
  }

  /**
   * Sends the next message of the outbox: first what was encrypted before, with the same bytes, then what waits.
   * @returns whether there was one
   * @throws Error if the service is out of reach, or cannot take it now: the message keeps its place
   */
  async deliverNext(): Promise<boolean> {
    const { log } = this.#parts;
    if (log.isRemoved) return false;
    const unanswered = [...log.sent].find(([, { queued, accepted }]) => queued !== undefined && accepted === undefined);
    if (unanswered !== undefined) {
      await this.#post(...unanswered);
      return true;
    }
    const next = log.outbox.find(({ refused }) => refused === undefined);
    if (next === undefined) return false;
    await this.#parts.commits.commit(planPending);
    const { sent } = await this.#encrypt(next.text, next.id, next.id, next);
    await this.#post(next.id, sent);
    return true;
  }

  /** Sends a refused message after all. @returns false: there is none with this id */
  async retry(id: string): Promise<boolean> {
    const { log } = this.#parts;
    const index = log.outbox.findIndex((one) => one.id === id && one.refused !== undefined);
    const found = log.outbox[index];
    if (found === undefined) return false;
    const { refused: _refused, ...message } = found;
    log.outbox[index] = message;
    await this.#save(() => log.outbox.splice(log.outbox.indexOf(message), 1, found));
    this.#options.onOutgoing(shown(message));
    return true;
  }

  /** Takes a message out of the outbox. @returns false: it is on its way, or there is none with this id */
  async cancel(id: string): Promise<boolean> {
    const { log } = this.#parts;
    const index = log.outbox.findIndex((one) => one.id === id);
    if (index === -1) return false;
    const gone = log.outbox.splice(index, 1);
    await this.#save(() => log.outbox.splice(index, 0, ...gone));
    return true;
  }

  /** Encrypts and sends one message. @param entryId id that the service gets: another one where the same message is sent again */
  async send(text: string, options: SendOptions, messageId = newId(), entryId = messageId): Promise<SendResult> {
    const { log, commits, catchUp } = this.#parts;
    for (let attempt = 1; ; attempt++) {
      // RFC 9420 §12.4: a member commits the proposals that it knows before it sends application data.
      await commits.commit(planPending);
      const { sent, ciphertext } = await this.#encrypt(text, messageId, entryId);
      try {
        return await this.#submit(entryId, ciphertext, sent, options);
      } catch (error) {
        if (isRefusal(error)) log.sent.delete(entryId); // else the service may have stored it, and the log has it
        if (!hasCode(error, 'epoch-too-old') || attempt >= MAX_ATTEMPTS) throw error;
        await catchUp();
      }
    }
  }

  /**
   * Encrypts a message. The new state counts before the service answers, unlike after a commit: if the service refuses the message,
   * one generation of keys stays unused. With the old state the next message would have the same key and nonce.
   * @param next the message of the outbox that it is
   */
  async #encrypt(
    text: string,
    messageId: string,
    entryId: string,
    next?: QueuedMessage,
  ): Promise<{ sent: SentMessage; ciphertext: string }> {
    const { mls } = this.#options;
    const { log } = this.#parts;
    const { state, message: ciphertext } = await mls.encrypt(
      log.state,
      new TextEncoder().encode(text),
      log.stated(messageId),
    );
    const sent: SentMessage = {
      ...{ text, digest: digestOf(fromBase64(ciphertext)) },
      ...(entryId === messageId ? {} : { messageId }),
      ...(next === undefined ? {} : { queued: { ciphertext, at: next.at, ...pushOf(next), ...markOf(next) } }),
    };
    const before = [...log.outbox];
    log.outbox.splice(0, log.outbox.length, ...before.filter((one) => one !== next));
    log.state = state;
    log.sent.set(entryId, sent);
    // The state stays: it only lacks a key. The bytes are no longer known, so that nobody sends them before they are durable.
    await this.#save(() => {
      log.sent.delete(entryId);
      log.outbox.splice(0, log.outbox.length, ...before);
    });
    return { sent, ciphertext };
  }

  async #submit(entryId: string, ciphertext: string, sent: SentMessage, options: SendOptions): Promise<SendResult> {
    const { api, id, deletionSecrets } = this.#options;
    const { log } = this.#parts;
    const deleteHash = await sha256Hex(await deletionSecrets.of(id, entryId));
    const result = await api.send(id, { id: entryId, ciphertext, deleteHash, ...log.stance, ...options });
    // The answer alone proves nothing. It says where the message has to be.
    const { seq, chain } = result;
    if (chain !== undefined) log.sent.set(entryId, { ...sent, accepted: { seq, chain } });
    return result;
  }

  /** Sends a message that is encrypted and durable. A second time it is the same bytes, which the service takes once. */
  async #post(entryId: string, sent: SentMessage): Promise<void> {
    const { log, catchUp } = this.#parts;
    const { queued } = sent;
    if (queued === undefined) return;
    const { ciphertext, at } = queued;
    const id = sent.messageId ?? entryId;
    try {
      const { seq } = await this.#submit(entryId, ciphertext, sent, pushOf(queued));
      this.#outdated = 0;
      await log.save();
      this.#options.onOutgoing({ id, text: sent.text, at, state: { kind: 'sent', seq } });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      log.sent.delete(entryId);
      if (hasCode(error, 'id-reused')) return this.#foundAccepted(id, sent.text, at, error);
      // A refusal is an answer about these bytes: the log does not have them, so they may be encrypted again.
      const message = { id, text: sent.text, at, ...pushOf(queued), ...markOf(queued) };
      const isOutdated = hasCode(error, ...OUTDATED_CODES) && this.#outdated++ < MAX_ATTEMPTS;
      const isWaiting = isOutdated || hasCode(error, ...WAITING_CODES);
      const next = isWaiting ? message : { ...message, refused: documentOf(error) };
      log.outbox.unshift(next);
      await log.save();
      if (isOutdated || hasCode(error, 'removed')) await catchUp();
      if (isOutdated || log.isRemoved) return;
      if (isWaiting) throw error;
      this.#options.onOutgoing(shown(next));
    }
  }

  /** The log has the message, in an encryption whose answer was lost with an older state of the group: nobody else knows the id. */
  async #foundAccepted(id: string, text: string, at: number, { details }: ProblemError): Promise<void> {
    await this.#parts.log.save();
    const seq = typeof details.seq === 'number' ? details.seq : 0;
    this.#options.onOutgoing({ id, text, at, state: { kind: 'sent', seq } });
  }

  #isKnown(id: string): boolean {
    const { log } = this.#parts;
    const isSent = [...log.sent].some(([entryId, { messageId = entryId }]) => messageId === id);
    const isShown = log.history.some((one) => one.id === id && one.device === log.ownKey);
    return isSent || isShown || log.outbox.some((one) => one.id === id);
  }
}

function pushOf({ push }: Pick<QueuedMessage, 'push'>): Pick<QueuedMessage, 'push'> {
  return push === undefined ? {} : { push };
}

function markOf({ isLost }: Pick<QueuedMessage, 'isLost'>): Pick<QueuedMessage, 'isLost'> {
  return isLost === undefined ? {} : { isLost };
}

function shown({ id, text, at, refused }: QueuedMessage): OutboxMessage {
  const state =
    refused === undefined ? ({ kind: 'waiting' } as const) : ({ kind: 'refused', problem: refused } as const);
  return { id, text, at, state };
}
