import { newId } from './bytes.ts';
import type { Http } from './http.ts';
import type {
  CommitAccepted,
  CommitBundle,
  Conversation,
  ConversationDetails,
  ConversationSummary,
  EntryKind,
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
  SendOutcome,
  SendResult,
} from './types.ts';

const at = (conversation: string, rest = ''): string => `/v1/conversations/${encodeURIComponent(conversation)}${rest}`;

/** The HTTP surface of the service, one method per route. */
export class ParleyClient {
  readonly http: Http;

  constructor(http: Http) {
    this.http = http;
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

  async welcomes(): Promise<PendingWelcome[]> {
    const { welcomes } = (await this.http.json('GET', '/v1/welcomes')) as { welcomes: PendingWelcome[] };
    return welcomes;
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
