import type pg from 'pg';
import type { Jobs } from '../../compute/jobs.ts';
import type { JoinRequestCommand, MessageCommand } from '../../domain/command.ts';
import { AppError } from '../../domain/errors.ts';
import type { ConversationId } from '../../domain/ids.ts';
import type { Accepted } from '../../domain/outcome.ts';
import type { CheckedJoinRequest } from '../../mls/join-request.ts';
import { userOf, whyNoUser } from '../../mls/tree.ts';
import type { KeyPackage } from '../../mls/frame.ts';
import { readEarlierAnswer } from '../../store/decision/earlier-answer.ts';
import { type Operations, type Origin, ownerOf } from './operations.ts';

/** Submits a proposal by which somebody asks to join (RFC 9420 §12.1.8). @param keyPackage the one in the proposal */
export type AskToJoin = (
  conversation: ConversationId,
  message: MessageCommand,
  keyPackage: KeyPackage,
  origin: Origin,
) => Promise<Accepted<'join-request' | 'message'>>;

/** Makes the function that submits requests to join. Only key packages of the caller itself are requests of the caller. */
export function makeAskToJoin(deps: {
  readonly pool: pg.Pool;
  readonly jobs: Jobs;
  readonly operations: Operations;
  /** As for uploaded key packages. */
  readonly keyPackages: { readonly maxLifetimeMs: number | undefined; readonly now?: () => number };
}): AskToJoin {
  const { pool, jobs, operations } = deps;
  return async (id, message, { leaf }, origin) => {
    const { user, device } = origin.caller;
    const { id: messageId, sha256, epoch, position, bytes } = message;
    const request: JoinRequestCommand = {
      kind: 'join-request',
      id: messageId,
      actor: user,
      device,
      sha256,
      ...(epoch === undefined ? {} : { epoch }),
      ...(position === undefined ? {} : { position }),
      bytes,
    };
    if (userOf(leaf) !== user) {
      // A member may pass on the proposal of somebody else. It makes no request: nobody has proven whose it is.
      const detail = leaf.identity === undefined ? `The leaf in the proposal ${whyNoUser(leaf)}` : undefined;
      return operations.decide(id, message, origin).catch(async (error: unknown) => {
        if (!(error instanceof AppError) || !['not-found', 'removed'].includes(error.code)) throw error;
        const { outcome } = await readEarlierAnswer(pool, id, request);
        throw outcome === undefined ? new AppError('identity-mismatch', detail) : error;
      });
    }
    let command: JoinRequestCommand;
    try {
      const { maxLifetimeMs, now = Date.now } = deps.keyPackages;
      const rules = { user, maxLifetimeMs, now: now() };
      const checked = await jobs.run('join-request', ownerOf(origin), Buffer.from(bytes.ciphertext), rules);
      command = { ...request, package: packageOf(checked) };
    } catch (error) {
      return operations.answerOrRefuse(id, request, origin, error);
    }
    return operations.decide(id, command, origin);
  };
}

function packageOf(checked: CheckedJoinRequest): NonNullable<JoinRequestCommand['package']> {
  const { ref, cipherSuite: suite, notAfter, keys, leafNode, offset, size } = checked;
  const hex = (bytes: Buffer): string => bytes.toString('hex');
  return {
    ref: hex(ref),
    suite,
    notAfter: notAfter.getTime(),
    keys: { init: hex(keys.init), encryption: hex(keys.encryption), signature: hex(keys.signature) },
    leafNode: hex(leafNode),
    offset,
    size,
  };
}
