import type { Http } from './http.ts';
import type { LiveOptions } from './server-sent-events.ts';
import { dataOf, liveEvents } from './server-sent-events.ts';
import type {
  AuditPage,
  AuditQuery,
  LifeEvent,
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

  /** One page of all conversations, also of those in trouble only. */
  conversations(query: ObservedConversationQuery = {}): Promise<ObservedConversationPage> {
    const answer = this.#http.json('GET', '/v1/admin/conversations', { query: { ...query } });
    return answer as Promise<ObservedConversationPage>;
  }

  /** One conversation with its workflow, its troubles and its locks. */
  conversation(id: string): Promise<ObservedRun> {
    return this.#http.json('GET', pathOf(id)) as Promise<ObservedRun>;
  }

  /** Ends the conversation's workflow; the next operation starts it again. */
  async shutdown(id: string, reason?: string): Promise<void> {
    await this.#http.json('POST', pathOf(id, '/shutdown'), { body: reason === undefined ? {} : { reason } });
  }

  /** Ends the run of the conversation's workflow by force, and starts a new one. */
  async restart(id: string, reason?: string): Promise<void> {
    await this.#http.json('POST', pathOf(id, '/restart'), { body: reason === undefined ? {} : { reason } });
  }

  /**
   * The life of a conversation: what its workflow does, which way each operation takes, and its log without content. It connects again as
   * often as needed; each connection tells the newest facts again.
   * @throws ProblemError if a retry cannot succeed
   */
  async *life(id: string, options: LiveOptions = {}): AsyncGenerator<LifeEvent, void, void> {
    for await (const message of liveEvents(this.#http, pathOf(id, '/life'), () => ({}), options)) {
      if (message.event !== undefined) yield dataOf(message) as LifeEvent;
    }
  }

  /** One page of the audit log, the newest line first. */
  audit(query: AuditQuery = {}): Promise<AuditPage> {
    return this.#http.json('GET', '/v1/admin/audit', { query: { ...query } }) as Promise<AuditPage>;
  }

  /** Which execution path operations take. */
  path(): Promise<PathState> {
    return this.#http.json('GET', '/v1/admin/path') as Promise<PathState>;
  }

  /** Sets which execution path operations take. */
  setPath(setting: PathSetting): Promise<PathSetting> {
    return this.#http.json('PUT', '/v1/admin/path', { body: setting }) as Promise<PathSetting>;
  }
}
