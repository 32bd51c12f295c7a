import type { Http } from './http.ts';
import type { PageQuery } from './types.ts';

const at = (conversation: string, rest = ''): string =>
  `/v1/admin/conversations/${encodeURIComponent(conversation)}${rest}`;

/** One line of the audit log. */
export interface AuditEntry {
  readonly id: number;
  readonly at: string;
  readonly conversation?: string;
  readonly actor: string;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A conversation as operators see it. */
export interface ObservedConversation {
  readonly id: string;
  readonly protocol: 'mls' | 'opaque';
  readonly epoch: number;
  readonly lastSeq: number;
  readonly memberCount: number;
  /** Entries before it were taken by retention. */
  readonly oldestSeq: number;
  readonly state: string;
  readonly successor?: string;
  /** When its timer next has work. */
  readonly dueAt?: string;
  readonly createdAt: string;
}

/** The same, with the workflow that runs it. */
export interface ObservedRun extends ObservedConversation {
  readonly workflow: { readonly id: string; readonly url?: string; readonly running?: boolean };
}

/** What operators may do; every call needs the scope `operator`. */
export class AdminClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  conversations(
    query: PageQuery & { readonly state?: string } = {},
  ): Promise<{ conversations: ObservedConversation[]; next?: string }> {
    const answer = this.#http.json('GET', '/v1/admin/conversations', { query: { ...query } });
    return answer as Promise<{ conversations: ObservedConversation[]; next?: string }>;
  }

  conversation(id: string): Promise<ObservedRun> {
    return this.#http.json('GET', at(id)) as Promise<ObservedRun>;
  }

  /** Ends the conversation's workflow; its next operation starts it again. */
  async shutdown(id: string, reason?: string): Promise<void> {
    await this.#http.json('POST', at(id, '/shutdown'), { body: reason === undefined ? {} : { reason } });
  }

  async restart(id: string, reason?: string): Promise<void> {
    await this.#http.json('POST', at(id, '/restart'), { body: reason === undefined ? {} : { reason } });
  }

  audit(query: PageQuery & { readonly conversation?: string } = {}): Promise<{ entries: AuditEntry[]; next?: string }> {
    const answer = this.#http.json('GET', '/v1/admin/audit', { query: { ...query } });
    return answer as Promise<{ entries: AuditEntry[]; next?: string }>;
  }
}
