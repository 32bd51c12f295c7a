import type { ChatConversation, ChatMessage } from '../../client/index.ts';
import { differences, type WindowReport } from './window-report.ts';

/** What a window found out about its conversation. The last three must stay 0. */
export interface Verdict {
  /** Messages that this device was told to send, in whichever of its windows. */
  readonly sent: number;
  /** Those of them that are in the log. */
  readonly inLog: number;
  /** Those of them that wait: for the network, the group, or to be sent again after a restore. */
  readonly waiting: number;
  /** Messages that this device has read, its own too. */
  readonly read: number;
  readonly lost: number;
  readonly doubled: number;
  readonly disordered: number;
  /** The counts above are of the whole conversation. Otherwise of its newest {@link MOST_COMPARED} messages. */
  readonly isWhole: boolean;
  /** Other windows of this browser with which it was compared. */
  readonly windows: number;
}

/** What the check looks at: one conversation, as the chat has it now. */
export interface Look {
  /** `Chat.history`: the newest {@link MOST_COMPARED}. */
  readonly messages: readonly ChatMessage[];
  readonly state: ChatConversation['state'];
  /** Another conversation has taken the place of this one. */
  readonly isReplaced: boolean;
  readonly isOnline: boolean;
}

/** Identity of a window, for its reports. */
export interface CheckOf {
  readonly window: string;
  readonly user: string;
  readonly conversation: string;
}

/**
 * What does not fit counts only after this time: a restore reaches one window some seconds before another, and until then
 * the two rightly show different logs.
 */
const GRACE_MS = 10_000;
/** A message that a restore took is sent again by its sender as soon as the group is repaired. */
const SEND_AGAIN_MS = 60_000;
/** A window that says nothing for this time has crashed. Browsers let the timers of a hidden one run once a minute only. */
const SILENT_MS = 90_000;
/**
 * Windows do not compare older messages: one that reads late does not get what retention took meanwhile. That is nothing of the last day;
 * half a day is left for clocks that differ.
 */
const COMPARED_MS = 12 * 3_600_000;
/** Messages of a conversation that a window looks at, the newest. */
export const MOST_COMPARED = 1000;
/** Messages in a report, the newest. */
const MOST_REPORTED = 500;

type Kind = 'lost' | 'doubled' | 'disordered';
interface Suspicion {
  readonly kind: Kind;
  readonly since: number;
  readonly countsAfterMs: number;
}

/**
 * The running check of a window: whether any message of a conversation is lost, doubled or out of order. It trusts neither the
 * service nor the client library: it compares what was sent with what was read, and what this window read with what others did.
 * Messages that a window could not see do not count: from before it joined, after it was removed, deleted or cancelled ones.
 */
export class RunningCheck {
  readonly #of: CheckOf;
  /** Own messages that the service had acknowledged. */
  readonly #acknowledged = new Set<string>();
  /** Own messages in the order in which they were written, without those that were refused or lost and came again. */
  readonly #written = new Map<string, number>();
  readonly #cameAgain = new Set<string>();
  readonly #arrived = new Set<string>();
  readonly #suspicions = new Map<string, Suspicion>();
  readonly #others = new Map<string, { readonly report: WindowReport; readonly at: number }>();
  #blind: (readonly [number, number])[] = [];
  /** Absent: the chat does not have the conversation yet. */
  #look: Look | undefined;
  #after: number | undefined;
  /** It could not read from after this place on; absent: it can. */
  #blindAfter: number | undefined;
  /** The newest place in the order in which messages came. */
  #newest = 0;
  #wrongArrivals = 0;

  constructor(of: CheckOf) {
    this.#of = of;
  }

  /** A message came, or has changed. Messages must come in the order of the log. */
  arrived({ id, state }: Pick<ChatMessage, 'id' | 'state'>): void {
    if (state.kind !== 'seen') return;
    const isNew = !this.#arrived.has(id) && state.seq > (this.#after ?? 0);
    this.#arrived.add(id);
    if (isNew && state.seq <= this.#newest && !this.#cameAgain.has(id)) this.#wrongArrivals++;
    this.#newest = Math.max(this.#newest, state.seq);
  }

  /** The log goes on after `agreed`: the service was restored to an older state. */
  restarted(agreed: number): void {
    this.#newest = Math.min(this.#newest, agreed);
    this.#after = Math.min(this.#after ?? agreed, agreed);
    for (const { id, state } of this.#messages) if ('seq' in state && state.seq > agreed) this.#cameAgain.add(id);
    this.#blind = this.#blind.flatMap(([first, last]) => (first > agreed ? [] : [[first, Math.min(last, agreed)]]));
    if (this.#blindAfter !== undefined) this.#blindAfter = Math.min(this.#blindAfter, agreed);
    // What others said is of the log as it was.
    this.#others.clear();
  }

  /** This device joined the group again: it cannot read what came since the last message that it read. */
  rejoined(): void {
    this.#blindAfter ??= Math.max(this.#newest, lastSeq(this.#messages));
  }

  /** A message was given up. After a restore that may be one which the service had acknowledged. */
  cancelled(id: string): void {
    this.#acknowledged.delete(id);
  }

  /** What the chat has now. */
  see(look: Look): void {
    const { messages, state } = look;
    if (state === 'removed' || state === 'joining') this.rejoined();
    const last = lastSeq(messages);
    // Before the first message nobody knows from where on the window reads.
    if (this.#after === undefined && last === 0) this.#blindAfter ??= 0;
    this.#after ??= last;
    this.#look = look;
    this.#openEyes();
    for (const message of messages) this.#remember(message);
  }

  /** What another window of this browser says. */
  hear(report: WindowReport, now: number): void {
    if (report.conversation !== this.#of.conversation || report.window === this.#of.window) return;
    this.#others.set(report.window, { report, at: now });
  }

  /** A window was closed, or shows another conversation. */
  left(window: string): void {
    this.#others.delete(window);
  }

  /** What this window tells the others. */
  report(now: number): WindowReport {
    const messages = this.#messages;
    const after = Math.max(
      this.#after ?? 0,
      seqs(messages).at(-MOST_REPORTED - 1) ?? 0,
      lastSeq(messages.filter(({ at }) => at < now - COMPARED_MS)),
    );
    const kept = messages.flatMap(({ id, state, isDeleted }) =>
      state.kind === 'seen' && state.seq > after ? [{ seq: state.seq, id, isDeleted }] : [],
    );
    return {
      ...this.#of,
      isSettled: this.#isIn && messages.every(({ state }) => state.kind !== 'lost'),
      after,
      upTo: this.#blindAfter ?? lastSeq(messages),
      blind: this.#blind,
      deleted: kept.filter(({ isDeleted }) => isDeleted).map(({ seq }) => seq),
      read: kept.filter(({ isDeleted }) => !isDeleted).map(({ seq, id }) => [seq, id]),
    };
  }

  /**
   * What is known now. It compares with the other windows.
   * @returns `undefined`: nothing, the chat does not have the conversation yet
   */
  verdict(now: number): Verdict | undefined {
    if (this.#look === undefined) return undefined;
    for (const [window, { at }] of this.#others) if (now - at > SILENT_MS) this.#others.delete(window);
    const own = this.report(now);
    const found: [string, Kind, number][] = [...this.#wrongHere()];
    const compared = [...this.#others.values()].filter(({ report }) => own.isSettled && report.isSettled);
    for (const { report } of compared)
      for (const { kind, id } of differences(own, report)) found.push([`${kind} ${id}`, kind, GRACE_MS]);
    this.#suspect(found, now);
    const counts = { lost: 0, doubled: 0, disordered: this.#wrongArrivals };
    for (const { kind, since, countsAfterMs } of this.#suspicions.values())
      if (now - since >= countsAfterMs) counts[kind]++;
    const mine = this.#messages.filter(({ isOwn }) => isOwn);
    const having = (...kinds: ChatMessage['state']['kind'][]): ChatMessage[] =>
      mine.filter(({ state }) => kinds.includes(state.kind));
    return {
      ...counts,
      sent: mine.length,
      inLog: having('sent', 'seen').length,
      waiting: having('waiting', 'lost').length,
      read: seqs(this.#messages).length,
      isWhole: this.#isWhole,
      windows: compared.length,
    };
  }

  get #messages(): readonly ChatMessage[] {
    return this.#look?.messages ?? [];
  }

  /** This device can read now what others write. */
  get #isIn(): boolean {
    return this.#look?.isOnline === true && this.#look.state === 'joined';
  }

  /** Of a long conversation only the end is looked at. */
  get #isWhole(): boolean {
    return this.#messages.length < MOST_COMPARED;
  }

  /** The first message after a time in which nothing could be read ends that time. */
  #openEyes(): void {
    const after = this.#blindAfter;
    if (after === undefined || this.#look?.state !== 'joined') return;
    const next = seqs(this.#messages).find((seq) => seq > after);
    if (next === undefined) return;
    if (next > after + 1) this.#blind.push([after + 1, next - 1]);
    this.#blindAfter = undefined;
  }

  #remember({ id, isOwn, state }: ChatMessage): void {
    if (state.kind === 'lost' || state.kind === 'refused') this.#cameAgain.add(id);
    if (!isOwn) return;
    if (state.kind === 'sent' || state.kind === 'seen') this.#acknowledged.add(id);
    // What is in the log when the window first hears of it was written before.
    if (state.kind !== 'seen' && !this.#written.has(id)) this.#written.set(id, this.#written.size);
  }

  /** What does not fit in this window by itself: its key, what it is, and how long it must last to count. */
  #wrongHere(): [key: string, kind: Kind, countsAfterMs: number][] {
    const messages = this.#messages;
    const isReplaced = this.#look?.isReplaced === true;
    const wrong: [string, Kind, number][] = [];
    const present = new Set(messages.map(({ id }) => id));
    // What waits goes to the conversation that has taken the place of this one.
    if (this.#isWhole && !isReplaced)
      for (const id of this.#acknowledged) if (!present.has(id)) wrong.push([`lost ${id}`, 'lost', GRACE_MS]);
    const newest = lastSeq(messages);
    const isHere = this.#isIn && this.#blindAfter === undefined;
    const isSentAgain = isHere || (isReplaced && this.#look?.isOnline === true);
    for (const { id, isOwn, state } of messages) {
      if (!isOwn) continue;
      // It has read past the place of a message, and did not find it there.
      if (isHere && state.kind === 'sent' && state.seq < newest) wrong.push([`lost ${id}`, 'lost', GRACE_MS]);
      if (isSentAgain && state.kind === 'lost') wrong.push([`lost ${id}`, 'lost', SEND_AGAIN_MS]);
    }
    const seen = messages.filter(({ state: its }) => its.kind === 'seen');
    for (const id of repeated(seen.map((one) => one.id))) wrong.push([`doubled ${id}`, 'doubled', GRACE_MS]);
    const places = seqs(seen);
    places.forEach((seq, i) => {
      const before = places[i - 1];
      if (before !== undefined && seq <= before) wrong.push([`disordered ${seq}`, 'disordered', GRACE_MS]);
    });
    let written = -1;
    for (const { id } of seen) {
      const turn = this.#cameAgain.has(id) ? undefined : this.#written.get(id);
      if (turn === undefined) continue;
      if (turn < written) wrong.push([`disordered ${id}`, 'disordered', GRACE_MS]);
      written = Math.max(written, turn);
    }
    return wrong;
  }

  /** Keeps since when each thing does not fit. What fits again is forgotten. */
  #suspect(found: readonly (readonly [string, Kind, number])[], now: number): void {
    const keys = new Set(found.map(([key]) => key));
    for (const key of this.#suspicions.keys()) if (!keys.has(key)) this.#suspicions.delete(key);
    for (const [key, kind, countsAfterMs] of found)
      if (!this.#suspicions.has(key)) this.#suspicions.set(key, { kind, since: now, countsAfterMs });
  }
}

const seqs = (messages: readonly ChatMessage[]): number[] =>
  messages.flatMap(({ state }) => (state.kind === 'seen' ? [state.seq] : []));

function lastSeq(messages: readonly ChatMessage[]): number {
  return Math.max(0, ...seqs(messages));
}

function repeated(ids: readonly string[]): Set<string> {
  const known = new Set<string>();
  return new Set(ids.filter((id) => known.size === known.add(id).size));
}
