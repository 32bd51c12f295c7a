import type { Http } from './http.ts';
import type {
  AuditPage,
  AuditQuery,
  ObservedConversationPage,
  ObservedConversationQuery,
  ObservedRun,
  PathSetting,
  PathState,
} from './types.ts';

const pathOf = (conversation: string, rest = ''): string =>
  `/v1/admin/conversations/${encodeURIComponent(conversation)}${rest}`;

/** The routes for operators; every call needs the scope `operator`. */
export class AdminClient {
  readonly #http: Http;

  constructor(http: Http) {
    this.#http = http;
  }

  conversations(query: ObservedConversationQuery = {}): Promise<ObservedConversationPage> {
    const answer = this.#http.json('GET', '/v1/admin/conversations', { query: { ...query } });
    return answer as Promise<ObservedConversationPage>;
  }

  conversation(id: string): Promise<ObservedRun> {
    return this.#http.json('GET', pathOf(id)) as Promise<ObservedRun>;
  }

  /** Ends the conversation's workflow; the next operation starts it again. */
  async shutdown(id: string, reason?: string): Promise<void> {
    await this.#http.json('POST', pathOf(id, '/shutdown'), { body: reason === undefined ? {} : { reason } });
  }

  async restart(id: string, reason?: string): Promise<void> {
    await this.#http.json('POST', pathOf(id, '/restart'), { body: reason === undefined ? {} : { reason } });
  }

  audit(query: AuditQuery = {}): Promise<AuditPage> {
    return this.#http.json('GET', '/v1/admin/audit', { query: { ...query } }) as Promise<AuditPage>;
  }

  /** Which execution path operations take. */
  path(): Promise<PathState> {
    return this.#http.json('GET', '/v1/admin/path') as Promise<PathState>;
  }

  setPath(setting: PathSetting): Promise<PathSetting> {
    return this.#http.json('PUT', '/v1/admin/path', { body: setting }) as Promise<PathSetting>;
  }
}
