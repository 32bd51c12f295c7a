import type { Device, MissingUser, NewPolicy, Policy, Problem, PushLevel, PushTarget } from '../api/types.ts';
import type { LogEvent } from '../chain/events.ts';

// Everything here is plain data, and every call takes and gives plain data: a tab that follows another one has the same chat.

/** What became of a message. One of others is `seen` from the start. */
export type MessageState =
  /** It waits on this device: for the network, or for the group. */
  | { readonly kind: 'waiting' }
  /** The service says that it has it. */
  | { readonly kind: 'sent'; readonly seq: number }
  /** This device has read it in the log, in the place where all others read it. */
  | { readonly kind: 'seen'; readonly seq: number }
  /** It will not be sent, unless the app tries again. */
  | { readonly kind: 'refused'; readonly problem: Problem }
  /** The service has lost it, in a restore. Its sender sends it again. */
  | { readonly kind: 'lost'; readonly seq: number };

/** One message of a conversation. */
export interface ChatMessage {
  /** It stays the same for ever. Where its sender states an id that an older message has, or one of this form: `<that id>~<device>`. */
  readonly id: string;
  readonly conversation: string;
  /** User id. */
  readonly sender: string;
  /** Signature key of the device that sent it, base64. */
  readonly device: string;
  readonly text: string;
  readonly isOwn: boolean;
  /** Somebody deleted it for everybody: its text is gone. */
  readonly isDeleted: boolean;
  /** Milliseconds since 1970: when this device read it in the log; while it waits, when it was written. */
  readonly at: number;
  readonly state: MessageState;
}

/** A device in the group. */
export interface ChatMember {
  readonly user: string;
  /** Signature keys of its devices, base64. */
  readonly devices: readonly string[];
}

/** A conversation, as far as a list of conversations shows it. */
export interface ChatConversation {
  readonly id: string;
  readonly members: readonly ChatMember[];
  /** Application messages of others after the read position, and explicit increments. */
  readonly unread: number;
  readonly last?: ChatMessage;
  readonly epoch: number;
  /** `joining`: by a Welcome or by external commit. `repairing`: after a restore of the service. `removed`: it can only be read. */
  readonly state: 'joining' | 'joined' | 'repairing' | 'removed';
  /** Users who are typing now. */
  readonly typing: readonly string[];
  /** Outsiders who ask to join. */
  readonly requests: readonly { readonly ref: string; readonly user: string; readonly device: string }[];
  /** The conversation that replaced this one. What waited here waits there. */
  readonly successor?: string;
}

/** Everything that the front page of a chat shows. */
export interface ChatState {
  readonly connection: 'offline' | 'connecting' | 'online';
  /** The one with the newest message first. */
  readonly conversations: readonly ChatConversation[];
  /** Sum of their unread counts. */
  readonly unread: number;
}

/** What two people compare to be sure that they are in one group, on one log. */
export interface Safety {
  readonly epoch: number;
  /** Base64; the same on all devices of the group (RFC 9420 §8.7). */
  readonly epochAuthenticator: string;
  /** `seq` and the value of the chain over the log there, base64. Absent: the service gives none. */
  readonly position?: { readonly seq: number; readonly chain: string };
  readonly members: readonly ChatMember[];
  /** Own signature key, base64. */
  readonly device: string;
  /** How far other devices have stated to have read the same log: `seq` by signature key. */
  readonly agreed: Readonly<Record<string, number>>;
}

/** What happened, by name. */
export interface ChatEvents {
  /** Something of the state changed. */
  readonly state: ChatState;
  /** A message is new, or has changed. */
  readonly message: ChatMessage;
  /** A message that waited was given up, or waits in the successor of the conversation. */
  readonly cancelled: { readonly conversation: string; readonly id: string };
  /** What this device found out about a log (docs/explanation/integrity.md). */
  readonly log: { readonly conversation: string; readonly event: LogEvent };
  /** This device joined a group again, by external commit. */
  readonly rejoined: { readonly conversation: string; readonly reason: string };
  /** Another program took the place of this one on the device; or the session is over. The chat has ended. */
  readonly ended: { readonly why: 'replaced' | 'logged-out' | 'unauthenticated' };
  /** Something failed that the app did not ask for; it will be tried again. `problem`: the service refused it. */
  readonly trouble: { readonly conversation?: string; readonly message: string; readonly problem?: Problem };
}

/** Of a new conversation. */
export interface NewChatOptions {
  readonly users?: readonly string[];
  readonly policy?: NewPolicy;
  /** Conversation id: 16 random bytes as base64url. A second call with it goes on with the first. @default a new one */
  readonly id?: string;
}

/** Of one message. */
export interface NewMessageOptions {
  readonly id?: string;
  /** How it wakes devices that sleep. @default 'normal' */
  readonly push?: PushLevel;
}

/** What became of the users who were to be added. */
export interface Added {
  /** Users with at least one device in the group now. */
  readonly invited: readonly string[];
  /** Devices without a key package. They can join by external commit. */
  readonly exhausted: readonly { readonly user: string; readonly device: string }[];
  readonly missing: readonly MissingUser[];
}

/**
 * A chat: one device of a user, with all its conversations. Each call is one thing that a person does. What the service refuses is a
 * ProblemError with a code of the catalogue; what is only out of reach is tried again inside.
 */
export interface Chat {
  readonly user: string;
  readonly device: string;
  readonly state: ChatState;
  /** @returns removes the listener */
  on<K extends keyof ChatEvents>(event: K, listener: (what: ChatEvents[K]) => void): () => void;

  /** @returns id of the conversation */
  create(options?: NewChatOptions): Promise<string>;
  /** Adds all devices of users, by one commit. A commit race is run again until it is won. */
  add(conversation: string, users: readonly string[]): Promise<Added>;
  /** Removes all devices of users, and ends their membership. */
  remove(conversation: string, users: readonly string[]): Promise<void>;
  /** Removes one device from the group. @param device signature key, base64 */
  removeDevice(conversation: string, device: string): Promise<void>;
  /** Leaves. Another member commits it. Does nothing if the user is out already. */
  leave(conversation: string): Promise<void>;

  /**
   * Returns when the message is durable on this device: it will be sent, also after a crash.
   * @param options.id message id: a second call with it does nothing. @default a new one
   * @returns message id
   */
  send(conversation: string, text: string, options?: NewMessageOptions): Promise<string>;
  /** Sends a refused message after all. */
  retry(conversation: string, id: string): Promise<void>;
  /** Gives up a message that waits or was refused. @returns false: it is on its way, or sent */
  cancel(conversation: string, id: string): Promise<boolean>;
  /** In the order of the log; those that wait come last. @param options.before id of a message: only older ones */
  history(
    conversation: string,
    options?: { readonly before?: string; readonly limit?: number },
  ): Promise<readonly ChatMessage[]>;
  /** Deletes the text of a message for everybody: an own one, or that of another as an admin. */
  delete(conversation: string, id: string): Promise<void>;

  /** Up to this message, or all. */
  markRead(conversation: string, id?: string): Promise<void>;
  /** This message and all after it. */
  markUnread(conversation: string, id: string): Promise<void>;
  /** The user is typing. Call it at each key: it sends no more than one signal in some seconds. */
  typing(conversation: string): void;

  /** Joins by external commit: a further device of a member, or anybody where the policy lets them. */
  join(conversation: string): Promise<void>;
  /** Asks the members to let this device in. */
  askToJoin(conversation: string): Promise<void>;
  /** Lets somebody in who asked. @returns false: the request is over, also because this was called before */
  admit(conversation: string, ref: string): Promise<boolean>;
  /** Drops the state of the group and joins again. */
  rejoin(conversation: string): Promise<void>;
  /** The rules of a conversation. */
  policy(conversation: string): Promise<Policy>;
  /** What two people compare, to be sure of each other. */
  safety(conversation: string): Promise<Safety>;

  /** The devices of the user. */
  devices(): Promise<readonly Device[]>;
  /** Ends another device of the user: a lost phone. */
  forgetDevice(device: string): Promise<void>;
  /** Has this device woken for new messages. Call it at each start. */
  registerPush(target: PushTarget): Promise<void>;

  /** Ends the program's part, when the calls that are under way have ended. The device stays, and goes on when it is opened again. */
  close(): Promise<void>;
  /** Ends the device: it leaves its groups' trees to the others, the service forgets it, and its store is erased. */
  logOut(): Promise<void>;
}
