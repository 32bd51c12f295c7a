import { newId } from '../platform/bytes.ts';
import type { AccountEvent, FollowAllOptions } from './account-stream.ts';
import { followAll } from './account-stream.ts';
import { AdminClient } from './admin-client.ts';
import type { FollowOptions, StreamEvent } from './conversation-stream.ts';
import { follow } from './conversation-stream.ts';
import type { Http } from './http.ts';
import type {
  Acknowledged,
  Answer,
  Body,
  ClaimedKeyPackages,
  GroupClaimRequest,
  GroupClaimed,
  ClaimRequest,
  CommitAccepted,
  CommitBundle,
  ConsentMode,
  ConsentRequestPage,
  Conversation,
  ConversationDetails,
  ConversationPage,
  ConversationsQuery,
  CurrentGroupInfo,
  DeletedMessage,
  Departure,
  Device,
  Entry,
  KeyPackagesStored,
  KeyPackageStock,
  KeyPackageUpload,
  LogPage,
  LogQuery,
  MemberAddition,
  MemberPage,
  MemberRemoval,
  MemberRole,
  MembershipChanged,
  NewConversation,
  OutgoingMessage,
  PageQuery,
  PendingWelcome,
  PolicyChange,
  Positions,
  PushState,
  PushTarget,
  Report,
  ReportTaken,
  SendOutcome,
  SendResult,
  StreamTicket,
  UnreadTotals,
  WelcomePage,
} from './types.ts';

const pathOf = (conversation: string, rest = ''): string =>
  `/v1/conversations/${encodeURIComponent(conversation)}${rest}`;

/** A signal that takes longer is given up. */
const SIGNAL_TIMEOUT_MS = 5000;

/** The HTTP surface of the service, one method for each route. Every method throws a ProblemError if the service refuses. */
export class ParleyClient {
  /** For what has no method here. */
  readonly http: Http;
  /** The routes for operators. */
  readonly admin: AdminClient;

  constructor(http: Http) {
    this.http = http;
    this.admin = new AdminClient(http);
  }

  /** Makes a conversation. A second call with the same id and body gives the same answer. */
  createConversation(body: NewConversation): Promise<Conversation> {
    return this.http.json('POST', '/v1/conversations', { body }) as Promise<Conversation>;
  }

  /** One page of the conversations of the calling user. {@link syncConversations} reads what changed. */
  conversations(query: ConversationsQuery = {}): Promise<ConversationPage> {
    return this.http.json('GET', '/v1/conversations', { query: { ...query } }) as Promise<ConversationPage>;
  }

  /** One conversation: its policy, its epoch, and what the user may read. */
  conversation(id: string): Promise<ConversationDetails> {
    return this.http.json('GET', pathOf(id)) as Promise<ConversationDetails>;
  }

  /** Changes rules of a conversation (admins). */
  async setPolicy(id: string, policy: PolicyChange): Promise<void> {
    await this.http.json('PATCH', pathOf(id), { body: { policy } });
  }

  /** Deletes a conversation for everybody (admins). */
  async deleteConversation(id: string): Promise<void> {
    await this.http.json('DELETE', pathOf(id));
  }

  /** The current epoch. */
  async epoch(id: string): Promise<number> {
    const answer = await this.http.json('GET', pathOf(id, '/epoch'));
    return (answer as Answer<'getEpoch'>).epoch;
  }

  /** One page of the members. */
  members(id: string, query: PageQuery = {}): Promise<MemberPage> {
    return this.http.json('GET', pathOf(id, '/members'), { query: { ...query } }) as Promise<MemberPage>;
  }

  /** Adds users. In `mls` this needs the commit that adds their devices. */
  addMembers(id: string, users: readonly string[], addition: MemberAddition = {}): Promise<MembershipChanged> {
    // Without a commit the service recognises a retry only by its id.
    const body = { users, ...addition, id: addition.id ?? newId() };
    return this.http.json('POST', pathOf(id, '/members'), { body }) as Promise<MembershipChanged>;
  }

  /** Removes a user. In `mls` this needs the commit that removes its devices. */
  removeMember(id: string, user: string, removal: MemberRemoval = {}): Promise<MembershipChanged> {
    const body = { ...removal, id: removal.id ?? newId() };
    const path = pathOf(id, `/members/${encodeURIComponent(user)}/remove`);
    return this.http.json('POST', path, { body }) as Promise<MembershipChanged>;
  }

  /** Leaves the conversation. In `mls` this needs the Remove proposal for the own leaf, which another member commits. */
  leave(id: string, user: string, departure: Departure = {}): Promise<MembershipChanged> {
    const path = pathOf(id, `/members/${encodeURIComponent(user)}/remove`);
    const body = { ...departure, id: departure.id ?? newId() };
    return this.http.json('POST', path, { body }) as Promise<MembershipChanged>;
  }

  /** Makes a member an admin, or an admin a member (admins). */
  async setRole(id: string, user: string, role: MemberRole): Promise<void> {
    await this.http.json('PUT', pathOf(id, `/members/${encodeURIComponent(user)}/role`), { body: { role } });
  }

  /** Bars a user, who need not be a member, from coming back by itself (admins). */
  async bar(id: string, user: string): Promise<void> {
    await this.http.json('POST', pathOf(id, `/members/${encodeURIComponent(user)}/bar`));
  }

  /** Ends a bar (admins). */
  async liftBar(id: string, user: string): Promise<void> {
    await this.http.json('DELETE', pathOf(id, `/members/${encodeURIComponent(user)}/bar`));
  }

  /** Submits a commit. @throws ProblemError `epoch-conflict`: another commit won, see {@link epochConflict} */
  commit(id: string, bundle: CommitBundle): Promise<CommitAccepted> {
    return this.http.json('POST', pathOf(id, '/commits'), { body: bundle }) as Promise<CommitAccepted>;
  }

  /** Sends one message. @throws ProblemError if the service refuses the message */
  async send(id: string, message: OutgoingMessage): Promise<SendResult> {
    const answer = await this.http.json('POST', pathOf(id, '/messages'), { body: message });
    const [result] = (answer as { readonly results: readonly SendResult[] }).results;
    if (result === undefined) throw new Error('the service answered without a result');
    return result;
  }

  /** Sends up to 100 messages in order. The service refuses each message by itself, in its outcome. */
  async sendAll(id: string, messages: readonly OutgoingMessage[]): Promise<readonly SendOutcome[]> {
    const answer = await this.http.json('POST', pathOf(id, '/messages'), { body: { messages } });
    return (answer as Answer<'sendMessages'>).results;
  }

  /**
   * Deletes the body of a message for everybody.
   * @param secret base64: the one whose SHA-256 was sent as `deleteHash`. Absent = as an admin
   */
  deleteMessage(id: string, seq: number, secret?: string): Promise<DeletedMessage> {
    const body = secret === undefined ? {} : { secret };
    return this.http.json('DELETE', pathOf(id, `/messages/${seq}`), { body }) as Promise<DeletedMessage>;
  }

  /** Messages whose bodies were deleted since the entry `after` was the last one. Some may be known already. */
  async deletions(id: string, after: number): Promise<readonly number[]> {
    const deleted: number[] = [];
    let cursor: string | undefined;
    do {
      const query = { after, limit: 1000, ...(cursor === undefined ? {} : { cursor }) };
      const page = await this.http.json('GET', pathOf(id, '/deletions'), { query });
      const { deleted: found, next } = page as Answer<'listDeletions'>;
      deleted.push(...found);
      cursor = next;
    } while (cursor !== undefined);
    return deleted;
  }

  /**
   * Sends a signal to the open streams of a conversation: typing, presence, a call. One try: what comes too late is of no use.
   * @param data up to 4096 bytes, base64
   * @throws ProblemError, and what `fetch` throws
   */
  async signal(id: string, data: string): Promise<void> {
    const limit = AbortSignal.timeout(SIGNAL_TIMEOUT_MS);
    const response = await this.http.open('POST', pathOf(id, '/signals'), { body: { data }, signal: limit });
    await response.text();
  }

  /** One page of the log, in order of `seq`. */
  log(id: string, query: LogQuery = {}): Promise<LogPage> {
    return this.http.json('GET', pathOf(id, '/messages'), { query: { ...query } }) as Promise<LogPage>;
  }

  /** The entry with an id. @throws ProblemError `not-found`: there is none that the user may read */
  async entry(id: string, messageId: string): Promise<Entry> {
    const [entry] = (await this.log(id, { id: messageId })).entries;
    if (entry === undefined) throw new Error('the service answered without the entry');
    return entry;
  }

  /** The live log of one conversation. */
  follow(id: string, options: FollowOptions = {}): AsyncGenerator<StreamEvent, void, void> {
    return follow(this.http, id, options);
  }

  /**
   * The greatest of these positions that the log has, for a reader whose position is not in it any more; `undefined`: none, or
   * none that the caller may compare.
   * @param positions up to 64, as `<seq>.<chain>`
   */
  async positions(id: string, positions: readonly string[]): Promise<string | undefined> {
    const answer = await this.http.json('POST', pathOf(id, '/positions'), { body: { positions } });
    return (answer as Answer<'comparePositions'>).agreed ?? undefined;
  }

  /**
   * A ticket for `EventSource`, which cannot send a token. The streams of this library need none.
   * @param path of the stream: `/v1/events`, or `/v1/conversations/{id}/events`
   */
  streamTicket(path: string): Promise<StreamTicket> {
    return this.http.json('POST', '/v1/stream-tickets', { body: { path } }) as Promise<StreamTicket>;
  }

  /** Events of all conversations of this device, after the entries that it acknowledged. */
  followAll(options: FollowAllOptions = {}): AsyncGenerator<AccountEvent, void, void> {
    return followAll(this.http, options);
  }

  /** Acknowledges entries. A position only moves forward; the answer leaves out unknown conversations. */
  ack(positions: Positions): Promise<Acknowledged> {
    return this.http.json('POST', '/v1/ack', { body: { positions } }) as Promise<Acknowledged>;
  }

  /** The GroupInfo of the current epoch, for joining by external commit (RFC 9420 §12.4.3.2). */
  groupInfo(id: string): Promise<CurrentGroupInfo> {
    return this.http.json('GET', pathOf(id, '/group-info')) as Promise<CurrentGroupInfo>;
  }

  /** Supplies the GroupInfo of the current epoch. Others than the first one are refused (`group-info-exists`), unless an admin replaces it. */
  async supplyGroupInfo(id: string, groupInfo: string): Promise<void> {
    await this.http.json('PUT', pathOf(id, '/group-info'), { body: { groupInfo } });
  }

  /** Reports that this device cannot process an entry. Reports of enough members allow a reset. */
  report(id: string, report: Report): Promise<ReportTaken> {
    return this.http.json('POST', pathOf(id, '/reports'), { body: report }) as Promise<ReportTaken>;
  }

  /** Replaces the conversation by a new one with the id `successor`, the same members and the same policy. */
  async reset(id: string, successor: string): Promise<void> {
    await this.http.json('POST', pathOf(id, '/reset'), { body: { successor } });
  }

  /** Marks messages as read up to `seq`, by default all; returns the number of unread messages. */
  markRead(id: string, seq?: number): Promise<number> {
    return this.#mark(id, seq === undefined ? {} : { seq });
  }

  /** Marks everything after `seq` as unread again; returns the number of unread messages. */
  markUnread(id: string, seq: number): Promise<number> {
    return this.#mark(id, { seq, back: true });
  }

  /** What the user has not read, over all its conversations. */
  unread(): Promise<UnreadTotals> {
    return this.http.json('GET', '/v1/unread') as Promise<UnreadTotals>;
  }

  async #mark(id: string, body: Body<'markRead'>): Promise<number> {
    const answer = await this.http.json('POST', pathOf(id, '/read'), { body });
    return (answer as Answer<'markRead'>).unread;
  }

  /** Adds to the unread count of every other member. The service counts each operation id once. */
  async incrementUnread(id: string, by = 1, operationId = newId()): Promise<void> {
    await this.http.json('POST', pathOf(id, '/unread'), { body: { by, id: operationId } });
  }

  /** Adds key packages of this device. */
  uploadKeyPackages(upload: KeyPackageUpload): Promise<KeyPackagesStored> {
    return this.http.json('POST', '/v1/key-packages', { body: upload }) as Promise<KeyPackagesStored>;
  }

  /** Replaces all key packages of this device, for example after it lost their secrets. */
  replaceKeyPackages(upload: KeyPackageUpload): Promise<KeyPackagesStored> {
    return this.http.json('PUT', '/v1/key-packages', { body: upload }) as Promise<KeyPackagesStored>;
  }

  /** How many key packages of this device the service holds. */
  keyPackageCount(): Promise<KeyPackageStock> {
    return this.http.json('GET', '/v1/key-packages') as Promise<KeyPackageStock>;
  }

  /** Claims one key package of each device of a user. A retry gets the same key packages. */
  claimKeyPackages(user: string, request: ClaimRequest = {}): Promise<ClaimedKeyPackages> {
    const path = `/v1/users/${encodeURIComponent(user)}/key-packages/claim`;
    const answer = this.http.json('POST', path, { body: request, idempotencyKey: newId() });
    return answer as Promise<ClaimedKeyPackages>;
  }

  /** Claims one key package of each device of many users. A retry gets the same key packages. */
  claimGroupKeyPackages(request: GroupClaimRequest): Promise<GroupClaimed> {
    const answer = this.http.json('POST', '/v1/key-packages/claims', { body: request, idempotencyKey: newId() });
    return answer as Promise<GroupClaimed>;
  }

  /**
   * The service as an external sender (RFC 9420 §12.1.8.1) for groups of a cipher suite: one ExternalSender, base64.
   * @throws ProblemError `not-found` if the service has no key for such groups
   */
  async externalSender(cipherSuite: number): Promise<string> {
    const answer = await this.http.json('GET', '/v1/external-sender', { query: { cipherSuite } });
    return (answer as Answer<'getExternalSender'>).externalSender;
  }

  /** The devices of the calling user. */
  async devices(): Promise<readonly Device[]> {
    return ((await this.http.json('GET', '/v1/devices')) as Answer<'listDevices'>).devices;
  }

  /** Deletes the key packages, positions and streams of a device. The service proposes to its groups to remove its leaves. */
  async forgetDevice(device: string): Promise<void> {
    await this.http.json('DELETE', `/v1/devices/${encodeURIComponent(device)}`);
  }

  /** What the service offers for wake-ups (also the key for Web Push subscriptions), and what this device has registered. */
  push(): Promise<PushState> {
    return this.http.json('GET', '/v1/push') as Promise<PushState>;
  }

  /** Has this device woken for new messages. Call it at each start: it replaces the target before. */
  registerPush(target: PushTarget): Promise<PushState> {
    return this.http.json('PUT', '/v1/push', { body: target }) as Promise<PushState>;
  }

  /** Ends the wake-ups of this device. Call it before its user logs out. */
  async unregisterPush(): Promise<void> {
    await this.http.json('DELETE', '/v1/push');
  }

  /** Replaces the conversations that this device is not woken for. @returns those that it mutes now */
  async mutePush(conversations: readonly string[]): Promise<readonly string[]> {
    const answer = await this.http.json('PUT', '/v1/push/muted', { body: { conversations } });
    return (answer as Answer<'mutePush'>).conversations;
  }

  /** Leaves every conversation and deletes all data of the calling user. It always succeeds. */
  async eraseMe(): Promise<void> {
    await this.http.json('DELETE', '/v1/me');
  }

  /** One page of the Welcomes that this device has not acknowledged. */
  welcomesPage(query: PageQuery = {}): Promise<WelcomePage> {
    return this.http.json('GET', '/v1/welcomes', { query: { ...query } }) as Promise<WelcomePage>;
  }

  /** All Welcomes that this device has not acknowledged. */
  async welcomes(): Promise<readonly PendingWelcome[]> {
    const all: PendingWelcome[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await this.welcomesPage(cursor === undefined ? {} : { cursor });
      all.push(...page.welcomes);
      if ((cursor = page.next) === undefined) return all;
    }
  }

  /** Says that this device has joined by a Welcome: the service forgets it. */
  async ackWelcome(id: string): Promise<void> {
    await this.http.json('POST', `/v1/welcomes/${encodeURIComponent(id)}/ack`, { body: {} });
  }

  /** Who may invite the calling user. */
  async consent(): Promise<ConsentMode> {
    return ((await this.http.json('GET', '/v1/consent')) as Answer<'getConsent'>).mode;
  }

  /** Says who may invite the user without asking first. */
  async setConsent(mode: ConsentMode): Promise<void> {
    await this.http.json('PUT', '/v1/consent', { body: { mode } });
  }

  /** One page of those who ask to invite the calling user, and wait for its answer. */
  consentRequests(query: PageQuery = {}): Promise<ConsentRequestPage> {
    return this.http.json('GET', '/v1/consent/requests', { query: { ...query } }) as Promise<ConsentRequestPage>;
  }

  /** Lets a user that asked invite the calling user from now on, or not. Nobody is told of a refusal. */
  async answerConsentRequest(user: string, accept: boolean): Promise<void> {
    await this.http.json('POST', `/v1/consent/requests/${encodeURIComponent(user)}`, { body: { accept } });
  }

  /** Whether the service lives, or can serve. */
  health(kind: 'live' | 'ready'): Promise<unknown> {
    return this.http.json('GET', `/health/${kind}`);
  }
}
