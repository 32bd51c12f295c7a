/** What a command, or a request without one, waited for when it failed. */
export type WaitedFor =
  /** Its user's other requests. */
  | 'turn'
  /** The commands before it, in the queue of its conversation. */
  | 'queue'
  /** The insert of its staged row. */
  | 'staging'
  /** The workflow: Temporal, or a worker. */
  | 'temporal'
  /** A session that holds the row of its conversation. */
  | 'postgres-lock'
  /** A connection to Postgres. */
  | 'pool'
  /** An answer of Postgres. */
  | 'postgres'
  /** Nothing: it failed at once. */
  | 'nothing';

/** Where a command is. */
export interface CommandProgress {
  readonly conversation: string;
  /** Its operation id. */
  readonly operation: string;
  /** What an operator has chosen for the conversation: `auto`, `workflow` or `direct`. */
  readonly mode: string;
  /** Who decides it, once it was handed over. */
  path?: string;
  /** Why it is that path. */
  reason?: string;
  waitsFor: WaitedFor;
}

/**
 * Where the commands of each request are, for the lines about requests that fail. A command that succeeded is forgotten. So what
 * is left when a request fails is what failed, or what it still waits for.
 */
export class ProgressOfRequests {
  readonly #requests = new Map<string, Set<CommandProgress>>();

  /** @param correlationId the service's own id of the request */
  begin(correlationId: string): void {
    this.#requests.set(correlationId, new Set());
  }

  end(correlationId: string): void {
    this.#requests.delete(correlationId);
  }

  add(correlationId: string, command: CommandProgress): void {
    this.#requests.get(correlationId)?.add(command);
  }

  succeeded(correlationId: string, command: CommandProgress): void {
    this.#requests.get(correlationId)?.delete(command);
  }

  /** The first command that has not succeeded. */
  of(correlationId: string): CommandProgress | undefined {
    const [first] = this.#requests.get(correlationId) ?? [];
    return first;
  }
}
