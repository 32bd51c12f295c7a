import { createHash, randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { Decision } from '../../domain/decision.ts';
import type { Outcome } from '../../domain/outcome.ts';
import type { OperationJson } from '../../store/decision/inline-operation.ts';
import { type Policy, type PolicyChange, makePolicy } from '../../domain/policy.ts';
import { createConversation } from '../../store/conversation/conversations.ts';
import { decide } from '../../store/decision/decide.ts';
import type { DecideOptions } from '../../store/decision/decider.ts';
import { type StageRow, stage } from '../../store/staging/stage.ts';

/** What a user asks of a conversation, before it is put into an operation; bytes are written as text. */
export type Request =
  | {
      readonly kind: 'message';
      readonly id: string;
      readonly actor: string;
      readonly body: string;
      readonly type?: 'proposal' | undefined;
      readonly push?: 'none' | 'high' | undefined;
      readonly deleteHash?: string | undefined;
      readonly epoch?: number | undefined;
      readonly notAfter?: number | undefined;
    }
  | {
      readonly kind: 'commit';
      readonly id: string;
      readonly actor: string;
      /** Absent: an add or remove without a commit (`opaque`). */
      readonly body?: string | undefined;
      readonly epoch?: number | undefined;
      readonly adds?: readonly string[] | undefined;
      readonly removes?: readonly string[] | undefined;
      readonly welcome?: string | undefined;
      readonly groupInfo?: string | undefined;
      readonly notAfter?: number | undefined;
    }
  | {
      readonly kind: 'leave';
      readonly id: string;
      readonly actor: string;
      /** The own Remove proposal. */
      readonly body?: string | undefined;
      readonly epoch?: number | undefined;
      readonly notAfter?: number | undefined;
    }
  | Extract<OperationJson, { actor: string; kind: 'read' | 'increment' | 'role' | 'policy' | 'bar' | 'delete' }>;

export type Protocol = 'mls' | 'opaque';

/** Creates a conversation under a fresh id. */
export async function startConversation(
  pool: pg.Pool,
  options: {
    readonly protocol?: Protocol;
    readonly creator?: string;
    readonly members?: readonly string[];
    readonly policy?: PolicyChange;
    readonly epoch?: number;
  } = {},
): Promise<string> {
  const id = randomBytes(16).toString('base64url');
  const result = await createConversation(pool, {
    id,
    protocol: options.protocol ?? 'mls',
    epoch: options.epoch ?? 0,
    creator: options.creator ?? 'alice',
    members: options.members ?? ['alice', 'bob', 'carol'],
    // GroupInfos have tests of their own.
    policy: makePolicy({ groupInfo: 'optional', ...options.policy }, { epochWindow: 2 }) satisfies Policy,
    fingerprint: sha256(id),
  });
  // Tests make any number of conversations of the same few users. Those of invitations have their own.
  await pool.query(`do $$ begin if to_regclass('invitation') is not null then delete from invitation; end if; end $$`);
  if (result !== 'created') throw new Error(`not created: ${JSON.stringify(result)}`);
  return id;
}

/** Sends requests as one batch, their bytes inline (direct path). */
export function send(
  pool: pg.Pool,
  conversation: string,
  requests: readonly Request[],
  options: DecideOptions = {},
): Promise<Decision> {
  const { operations, bytes } = inline(requests);
  return decide(pool, conversation, operations, bytes, options);
}

/** Sends requests as one batch, their bytes staged first (workflow path); what is not taken goes inline, as in the API. */
export async function sendStaged(
  pool: pg.Pool,
  conversation: string,
  requests: readonly Request[],
  options: DecideOptions = {},
): Promise<{ decision: Decision; operations: OperationJson[]; bytes: Buffer[] }> {
  const { operations, bytes } = inline(requests);
  const rows = requests.map((request) => stageRow(conversation, request));
  const keys = await stage(
    pool,
    rows.filter((row) => row !== undefined),
  );
  const referenced = operations.map((operation, i) => {
    const key = rows[i] === undefined ? undefined : keys.shift();
    return typeof key === 'number' ? byReference(operation, key) : operation;
  });
  const decision = await decide(pool, conversation, referenced, bytes, options);
  return { decision, operations: referenced, bytes };
}

/** Sends one request and returns its outcome. */
export async function sendOne(pool: pg.Pool, conversation: string, request: Request): Promise<Outcome> {
  const { outcomes } = await send(pool, conversation, [request]);
  const [outcome] = outcomes;
  if (outcome === undefined) throw new Error('There is no outcome');
  return outcome;
}

/** Requests as operations with the bytes that they point into. */
export function inline(requests: readonly Request[]): { operations: OperationJson[]; bytes: Buffer[] } {
  const bytes: Buffer[] = [];
  const place = (text: string | undefined): number | undefined =>
    text === undefined ? undefined : bytes.push(Buffer.from(text));
  const operations = requests.map((request): OperationJson => {
    switch (request.kind) {
      case 'message':
      case 'leave':
      case 'commit': {
        const { body, welcome, groupInfo, ...rest } = { welcome: undefined, groupInfo: undefined, ...request };
        const operation = {
          ...rest,
          // Reservations have tests of their own; here everything is decided at once.
          ...(rest.kind === 'commit' ? { deferred: true } : {}),
          size: body?.length ?? 0,
          sha256: body === undefined ? undefined : sha256(body).toString('hex'),
          bytes: { ciphertext: place(body), welcome: place(welcome), groupInfo: place(groupInfo) },
        };
        return withoutUndefined(operation) as OperationJson;
      }
      default:
        return request;
    }
  });
  return { operations, bytes };
}

/** What stays in an operation whose bytes are in a staged row. */
const BESIDE_BYTES = ['id', 'kind', 'notAfter', 'type', 'sha256', 'size', 'push', 'deleteHash', 'deferred'];

/** The same operation with its bytes in a staged row, as it travels through the workflow path. */
export function byReference(operation: OperationJson, body: number): OperationJson {
  const kept = Object.entries(operation).filter(([name]) => BESIDE_BYTES.includes(name));
  return withoutUndefined({ ...Object.fromEntries(kept), body }) as OperationJson;
}

/** The row that holds a request's bytes; `undefined` when it has none. */
export function stageRow(conversation: string, request: Request): StageRow | undefined {
  if (!('body' in request) || request.body === undefined) return undefined;
  const bytes = (text: string | undefined): Buffer | undefined => (text === undefined ? undefined : Buffer.from(text));
  return {
    conversation,
    user: request.actor,
    epoch: request.epoch,
    ciphertext: Buffer.from(request.body),
    ...(request.kind === 'commit'
      ? {
          welcome: bytes(request.welcome),
          groupInfo: bytes(request.groupInfo),
          request: { adds: request.adds ?? [], removes: request.removes ?? [] },
        }
      : {}),
  };
}

export function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function withoutUndefined(record: object): object {
  return JSON.parse(JSON.stringify(record)) as object;
}
