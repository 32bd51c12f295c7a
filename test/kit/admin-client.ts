import type { Http } from './http.ts';
import type { PageQuery } from './types.ts';

const at = (conversation: string, rest = ''): string =>
  `/v1/admin/conversations/${encodeURIComponent(conversation)}${rest}`;

/** One line of the audit log. */
export interface AuditEntry {
  readonly at: string;
  readonly conversation?: string;
  readonly actor: string;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A conversation as operators see it. */
export interface ObservedConversation {
  readonly id: string;
  readonly [detail: string]: unknown;
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

  conversation(id: string): Promise<ObservedConversation> {
    return this.#http.json('GET', at(id)) as Promise<ObservedConversation>;
  }

  /** Ends the conversation's workflow; its next operation starts it again. */
  async shutdown(id: string): Promise<void> {
    await this.#http.json('POST', at(id, '/shutdown'), { body: {} });
  }

  async restart(id: string): Promise<void> {
    await this.#http.json('POST', at(id, '/restart'), { body: {} });
  }

  audit(query: PageQuery & { readonly conversation?: string } = {}): Promise<{ entries: AuditEntry[]; next?: string }> {
    const answer = this.#http.json('GET', '/v1/admin/audit', { query: { ...query } });
    return answer as Promise<{ entries: AuditEntry[]; next?: string }>;
  }
}
