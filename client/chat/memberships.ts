import { pause } from '../api/http.ts';
import type { ParleyClient } from '../api/parley-client.ts';
import { hasCode } from '../api/problem.ts';
import { type KnownConversations, syncConversations } from '../api/sync-conversations.ts';
import type { NewPolicy, Role } from '../api/types.ts';
import type { MlsDevice } from '../device/device.ts';
import type { MlsGroup } from '../group/group.ts';
import { sleep } from '../platform/sleep.ts';
import type { DeviceStore } from '../storage/device-store.ts';
import type { ShownState } from './shown-state.ts';
import type { Unread } from './unread.ts';

/** What the chat knew of the conversations when it was there last. */
const KNOWN_KEY = 'chat/conversations';
/** A Welcome that is on its way is better than an external commit: it reads what is sent meanwhile. */
const WELCOME_MS = 2_000;

export interface MembershipParts {
  readonly api: ParleyClient;
  readonly device: MlsDevice;
  readonly store: DeviceStore;
  readonly shown: ShownState;
  readonly unread: Unread;
  /** Of the life that the chat has now. */
  readonly signal: () => AbortSignal;
  readonly onJoin: (group: MlsGroup) => void;
  readonly onError: (error: unknown, conversation?: string) => void;
}

/** Keeps the groups of the device those of its user's conversations: creates, joins what is missing, and forgets what never was. */
export class Memberships {
  readonly #parts: MembershipParts;
  /** Conversations that a call of the app creates. */
  readonly #creating = new Set<string>();
  #known: KnownConversations = { since: '', conversations: [] };

  constructor(parts: MembershipParts) {
    this.#parts = parts;
  }

  /** Loads what was known when the program ended. */
  async load(): Promise<void> {
    const known = await this.#parts.store.get(KNOWN_KEY);
    if (known !== undefined) this.#know(JSON.parse(known) as KnownConversations);
  }

  /** Creates a conversation, or goes on where an earlier call with its id ended. */
  async create(id: string, policy: NewPolicy | undefined): Promise<void> {
    const { device, shown } = this.#parts;
    // An earlier call, or the program before this one, may not have heard whether the service has it.
    const known = device.groups.get(id);
    if (known !== undefined && this.#isUnborn(known) && (await this.#roleIn(id)) === undefined) await device.forget(id);
    this.#creating.add(id);
    try {
      await device.createGroup(policy, id);
      shown.unanswered.delete(id);
    } catch (error) {
      // The service may have it, with the state that only this device has. The next connection finds out.
      if (device.groups.has(id)) shown.unanswered.add(id);
      throw error;
    } finally {
      this.#creating.delete(id);
    }
  }

  async join(conversation: string): Promise<void> {
    const { device, shown, onJoin } = this.#parts;
    shown.joining.add(conversation);
    shown.changed();
    try {
      onJoin(await device.joinMissing(conversation));
    } finally {
      shown.joining.delete(conversation);
      shown.changed();
    }
  }

  /** The user is a member from an entry on: by another device of the user, or by somebody whose Welcome for this one may be on its way. */
  async joinSoon(conversation: string, seq: number | undefined): Promise<void> {
    await sleep(WELCOME_MS, this.#parts.signal());
    await this.#joinMissing(conversation, seq);
  }

  /** Is the user, and not only this device, out of the conversation? */
  async hasLeft(conversation: string): Promise<boolean> {
    const role = await this.#roleIn(conversation);
    return role === undefined || role === 'removed';
  }

  /** After each connection: what changed meanwhile, and what this device has not joined. */
  async catchUp(): Promise<void> {
    const { shown, onError } = this.#parts;
    const signal = this.#parts.signal();
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await this.#learn();
        break;
      } catch (error) {
        // The next connection begins anew.
        if (!shown.isOnline) return;
        onError(error);
        await pause(attempt, error, signal);
      }
    }
    for (const { id, role, joinedSeq } of this.#known.conversations) {
      if (role !== 'removed') await this.#joinMissing(id, joinedSeq);
    }
  }

  /** Brings what this device knows of its conversations up to date. */
  async #learn(): Promise<void> {
    const { api, device, store, shown, unread } = this.#parts;
    const unborn = [...device.groups.values()].filter((group) => this.#isUnborn(group));
    const { known } = await syncConversations(api, this.#known);
    await store.write([[KNOWN_KEY, JSON.stringify(known)]]);
    this.#know(known);
    for (const { id, lastSeq, unread: count } of known.conversations) {
      await unread.take(id, { upTo: lastSeq, unread: count });
    }
    shown.changed();
    // Conversations that the program before this one, or a call without an answer, did not come to create.
    const listed = new Set(known.conversations.map(({ id }) => id));
    for (const group of unborn) {
      const isStill = this.#isUnborn(group) && device.groups.get(group.id) === group;
      if (isStill && !listed.has(group.id)) await device.forget(group.id);
      shown.unanswered.delete(group.id);
    }
  }

  #know(known: KnownConversations): void {
    this.#known = known;
    for (const { id, successor } of known.conversations) {
      const group = this.#parts.device.groups.get(id);
      if (group !== undefined && successor !== undefined) group.successor ??= successor;
    }
  }

  /** @param joinedSeq entry with which the user joined last */
  async #joinMissing(conversation: string, joinedSeq = 0): Promise<void> {
    const { device, shown, onError } = this.#parts;
    const group = device.groups.get(conversation);
    // Who removed only this device does not want it back. Who added the user again does.
    const isMissing = group === undefined || (group.isRemoved && joinedSeq > group.position);
    if (!isMissing || shown.joining.has(conversation)) return;
    await this.join(conversation).catch((error: unknown) => onError(error, conversation));
  }

  /** `undefined`: the service has no such conversation of the user. */
  async #roleIn(conversation: string): Promise<Role | undefined> {
    try {
      return (await this.#parts.api.conversation(conversation)).role;
    } catch (error) {
      if (hasCode(error, 'not-found')) return undefined;
      throw error;
    }
  }

  #isUnborn({ id, position, outbox }: MlsGroup): boolean {
    return position === 0 && outbox.length === 0 && !this.#creating.has(id);
  }
}
