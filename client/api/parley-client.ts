import { AdminClient } from './admin-client.ts';
import { newId } from '../platform/bytes.ts';
import type { AccountEvent, FollowAllOptions } from './account-stream.ts';
import { followAll } from './account-stream.ts';
import type { Http } from './http.ts';
import type { FollowOptions, StreamEvent } from './conversation-stream.ts';
import { follow } from './conversation-stream.ts';
import type {
  ClaimRequest,
  ClaimedKeyPackages,
  CommitAccepted,
  CommitBundle,
  Conversation,
  ConversationDetails,
  ConversationSummary,
  CurrentGroupInfo,
  Device,
  EntryKind,
  KeyPackageStock,
  KeyPackageUpload,
  KeyPackagesStored,
  Leaving,
  Member,
  MembershipChange,
  MembershipChanged,
  NewConversation,
  OutgoingMessage,
  Page,
  PageQuery,
  PathSetting,
  PendingWelcome,
  Policy,
  Positions,
  Report,
  ReportTaken,
  SendOutcome,
  SendResult,
} from './types.ts';

const at = (conversation: string, rest = ''): string => `/v1/conversations/${encodeURIComponent(conversation)}${rest}`;

/** The HTTP surface of the service, one method per route. */
export class ParleyClient {
  readonly http: Http;
  /** Needs the scope `operator`. */
  readonly admin: AdminClient;

  constructor(http: Http) {
    this.http = http;
    this.admin = new AdminClient(http);
  }

  createConversation(body: NewConversation): Promise<Conversation> {
    return this.http.json('POST', '/v1/conversations', { body }) as Promise<Conversation>;
  }

  conversations(query: PageQuery = {}): Promise<{ conversations: ConversationSummary[]; next?: string }> {
    const answer = this.http.json('GET', '/v1/conversations', { query: { ...query } });
    return answer as Promise<{ conversations: ConversationSummary[]; next?: string }>;
  }

  conversation(id: string): Promise<ConversationDetails> {
    return this.http.json('GET', at(id)) as Promise<ConversationDetails>;
  }

  async setPolicy(id: string, policy: Partial<Policy>): Promise<void> {
    await this.http.json('PATCH', at(id), { body: { policy } });
  }

  async deleteConversation(id: string): Promise<void> {
    await this.http.json('DELETE', at(id));
  }

  async epoch(id: string): Promise<number> {
    const { epoch } = (await this.http.json('GET', at(id, '/epoch'))) as { epoch: number };
    return epoch;
  }

  members(id: string, query: PageQuery = {}): Promise<{ members: Member[]; leaving: string[]; next?: string }> {
    const answer = this.http.json('GET', at(id, '/members'), { query: { ...query } });
    return answer as Promise<{ members: Member[]; leaving: string[]; next?: string }>;
  }

  addMembers(id: string, users: readonly string[], change: MembershipChange = {}): Promise<MembershipChanged> {
    // Adding without a commit has no bytes to be recognised by, so it needs an id.
    const body = { users, ...change, id: change.id ?? newId() };
    return this.http.json('POST', at(id, '/members'), { body }) as Promise<MembershipChanged>;
  }

  removeMember(id: string, user: string, change: MembershipChange = {}): Promise<MembershipChanged> {
    const body = { ...change, id: change.id ?? newId() };
    const path = at(id, `/members/${encodeURIComponent(user)}/remove`);
    return this.http.json('POST', path, { body }) as Promise<MembershipChanged>;
  }

  /** Leaves; in `mls` with the own Remove proposal, which somebody else then commits. */
  leave(id: string, user: string, leaving: Leaving = {}): Promise<MembershipChanged> {
    const path = at(id, `/members/${encodeURIComponent(user)}/remove`);
    const body = { ...leaving, id: leaving.id ?? newId() };
    return this.http.json('POST', path, { body }) as Promise<MembershipChanged>;
  }

  async setRole(id: string, user: string, role: 'admin' | 'member'): Promise<void> {
    await this.http.json('PUT', at(id, `/members/${encodeURIComponent(user)}/role`), { body: { role } });
  }

  commit(id: string, bundle: CommitBundle): Promise<CommitAccepted> {
    return this.http.json('POST', at(id, '/commits'), { body: bundle }) as Promise<CommitAccepted>;
  }

  /** Sends one message; a refusal is thrown. */
  async send(id: string, message: OutgoingMessage): Promise<SendResult> {
    const answer = (await this.http.json('POST', at(id, '/messages'), { body: message })) as { results: SendResult[] };
    const result = answer.results[0];
    if (result === undefined) throw new Error('the service answered without a result');
    return result;
  }

  /** Sends up to 100 messages in order; each has its own outcome. */
  async sendAll(id: string, messages: readonly OutgoingMessage[]): Promise<SendOutcome[]> {
    const answer = await this.http.json('POST', at(id, '/messages'), { body: { messages } });
    return (answer as { results: SendOutcome[] }).results;
  }

  log(id: string, query: { after?: number; limit?: number; kind?: EntryKind } = {}): Promise<Page> {
    return this.http.json('GET', at(id, '/messages'), { query }) as Promise<Page>;
  }

  /** The live log of one conversation. */
  follow(id: string, options: FollowOptions = {}): AsyncGenerator<StreamEvent, void, void> {
    return follow(this.http, id, options);
  }

  /** Everything that happens in all conversations of this device, from behind what it acknowledged. */
  followAll(options: FollowAllOptions = {}): AsyncGenerator<AccountEvent, void, void> {
    return followAll(this.http, options);
  }

  /** Says how far this device has processed; only forward. Unknown conversations are left out of the answer. */
  async ack(positions: Positions): Promise<Positions> {
    const answer = await this.http.json('POST', '/v1/ack', { body: { positions } });
    return (answer as { positions: Positions }).positions;
  }

  /** The GroupInfo of the current epoch, with which to join by external commit (RFC 9420 §12.4.3.2). */
  groupInfo(id: string): Promise<CurrentGroupInfo> {
    return this.http.json('GET', at(id, '/group-info')) as Promise<CurrentGroupInfo>;
  }

  /** Supplies the GroupInfo of the current epoch; the first one of an epoch stays. */
  async supplyGroupInfo(id: string, groupInfo: string): Promise<void> {
    await this.http.json('PUT', at(id, '/group-info'), { body: { groupInfo } });
  }

  /** Tells that an entry cannot be processed; enough members that do so open a reset. */
  report(id: string, report: Report): Promise<ReportTaken> {
    return this.http.json('POST', at(id, '/reports'), { body: report }) as Promise<ReportTaken>;
  }

  /** Hands over to a new conversation with the same members and policy, whose id is `successor`. */
  async reset(id: string, successor: string): Promise<void> {
    await this.http.json('POST', at(id, '/reset'), { body: { successor } });
  }

  /** Marks as read up to `seq`, or everything. */
  async markRead(id: string, seq?: number): Promise<number> {
    const body = seq === undefined ? {} : { seq };
    const { unread } = (await this.http.json('POST', at(id, '/read'), { body })) as { unread: number };
    return unread;
  }

  /** Adds to the unread count of every other member; counted once per operation id. */
  async incrementUnread(id: string, by = 1, operationId = newId()): Promise<void> {
    await this.http.json('POST', at(id, '/unread'), { body: { by, id: operationId } });
  }

  /** Adds to the key packages of this device. */
  uploadKeyPackages(upload: KeyPackageUpload): Promise<KeyPackagesStored> {
    return this.http.json('POST', '/v1/key-packages', { body: upload }) as Promise<KeyPackagesStored>;
  }

  /** Replaces all key packages of this device, as when it lost their secrets. */
  replaceKeyPackages(upload: KeyPackageUpload): Promise<KeyPackagesStored> {
    return this.http.json('PUT', '/v1/key-packages', { body: upload }) as Promise<KeyPackagesStored>;
  }

  keyPackageCount(): Promise<KeyPackageStock> {
    return this.http.json('GET', '/v1/key-packages') as Promise<KeyPackageStock>;
  }

  /** Takes one key package of each device of a user; a repetition on the way gives the same ones. */
  claimKeyPackages(user: string, request: ClaimRequest = {}): Promise<ClaimedKeyPackages> {
    const path = `/v1/users/${encodeURIComponent(user)}/key-packages/claim`;
    const answer = this.http.json('POST', path, { body: request, idempotencyKey: newId() });
    return answer as Promise<ClaimedKeyPackages>;
  }

  /** My devices. */
  async devices(): Promise<Device[]> {
    return ((await this.http.json('GET', '/v1/devices')) as { devices: Device[] }).devices;
  }

  /** Forgets a device of mine: its key packages, positions and streams; its leaves are for a group to remove. */
  async forgetDevice(device: string): Promise<void> {
    await this.http.json('DELETE', `/v1/devices/${encodeURIComponent(device)}`);
  }

  /** Leaves every conversation and forgets all devices. */
  async eraseMe(): Promise<void> {
    await this.http.json('DELETE', '/v1/me');
  }

  /** A page of the Welcomes of this device that it has not acknowledged. */
  welcomesPage(query: PageQuery = {}): Promise<{ welcomes: PendingWelcome[]; next?: string }> {
    const answer = this.http.json('GET', '/v1/welcomes', { query: { ...query } });
    return answer as Promise<{ welcomes: PendingWelcome[]; next?: string }>;
  }

  /** All of them, however many pages they fill. */
  async welcomes(): Promise<PendingWelcome[]> {
    const all: PendingWelcome[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await this.welcomesPage(cursor === undefined ? {} : { cursor });
      all.push(...page.welcomes);
      if ((cursor = page.next) === undefined) return all;
    }
  }

  async ackWelcome(id: string): Promise<void> {
    await this.http.json('POST', `/v1/welcomes/${encodeURIComponent(id)}/ack`, { body: {} });
  }

  health(kind: 'live' | 'ready'): Promise<unknown> {
    return this.http.json('GET', `/health/${kind}`);
  }

  /** Needs the scope `operator`. */
  path(): Promise<PathSetting> {
    return this.http.json('GET', '/v1/admin/path') as Promise<PathSetting>;
  }

  /** Needs the scope `operator`. */
  setPath(setting: PathSetting): Promise<PathSetting> {
    return this.http.json('PUT', '/v1/admin/path', { body: setting }) as Promise<PathSetting>;
  }
}
