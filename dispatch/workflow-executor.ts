import type { Logger } from 'pino';
import { AppError } from '../domain/errors.ts';
import { LOCK_PATIENCE_MS } from '../store/decision/decider.ts';
import { unpackOutcomes } from '../domain/packed-outcome.ts';
import { completeChains } from '../store/decision/complete-chains.ts';
import type { StagedCommand } from '../domain/staged-command.ts';
import {
  type ConversationUpdate,
  addMembers,
  administer,
  commit,
  removeMember,
  resetUnread,
  sendMessages,
} from '../workflows/conversation/messages.ts';
import { lockedProblem } from './conversation-lock.ts';
import type { ConversationWorkflows } from './conversation-workflows.ts';
import type { Executor } from './executor.ts';
import { jitter, pause } from './pause.ts';
import { batchFacts } from './batch-facts.ts';
import { waitedFor } from './waited-for.ts';
import { classifyUpdateError, isTaskFailing, isUnavailable } from './temporal-errors.ts';
import type { ReportTrouble } from './trouble-reports.ts';

/** One call waits at most this long: a connection that died silently must not use up the whole deadline. */
const CALL_MS = 4000;
/** Before the next try of a conversation that somebody else has locked. */
const LOCKED_PAUSE_MS = [300, 700] as const;

export interface WorkflowExecutorDeps {
  readonly workflows: Pick<ConversationWorkflows, 'update' | 'forget'>;
  readonly log: Logger;
  readonly onRetry: (reason: string) => void;
  /** Temporal refused the connection, some quick tries long. */
  readonly onUnavailable?: () => void;
  /** Something is wrong with this conversation. */
  readonly onTrouble?: ReportTrouble;
}

/** Decisions of one batch that Postgres must fail before that is a sign of trouble. */
const MANY_INFRA = 2;

/** Hands a batch to the conversation's workflow as one update, and tries again until its deadline, or until it is aborted. */
export function makeWorkflowExecutor(deps: WorkflowExecutorDeps): Executor<StagedCommand> {
  const { workflows, log, onRetry, onUnavailable = () => undefined, onTrouble = () => undefined } = deps;
  return async ({ id, conversation, commands, correlationIds, deadline, signal, onWait = () => undefined }) => {
    const input = { operations: commands, requests: correlationIds };
    const update = updateFor(commands[0]);
    let attempt = 0;
    let lockedUntil: number | undefined;
    let infra = 0;
    for (let retries = 0; ; retries++) {
      try {
        const until = Math.min(Date.now() + CALL_MS, deadline);
        const result = await workflows.update(conversation, update, `${id}.${attempt}`, input, until, signal);
        return { outcomes: completeChains(commands, unpackOutcomes(result.outcomes)), retries };
      } catch (error) {
        if (signal?.aborted === true) throw new AppError('unavailable', undefined, {}, { cause: error });
        const failure = classifyUpdateError(error);
        if (isUnavailable(error)) onUnavailable();
        const waitsFor = waitedFor(error) ?? (failure === 'infra' ? 'postgres' : 'temporal');
        onWait(waitsFor);
        const facts = {
          ...batchFacts({ conversation, commands, correlationIds }, 'workflow', waitsFor),
          batch: id,
          attempt,
          failure,
        };
        onRetry(failure);
        if (isTaskFailing(error)) onTrouble(conversation, 'task-failures');
        if (failure === 'overloaded') onTrouble(conversation, 'mailbox-full');
        const locked = lockedProblem(error);
        if (locked !== undefined) {
          lockedUntil ??= Date.now() + Math.min(LOCK_PATIENCE_MS, (deadline - Date.now()) / 2);
          if (Date.now() >= lockedUntil) {
            onTrouble(conversation, 'blocked');
            throw locked;
          }
          attempt++;
          await pause(jitter(...LOCKED_PAUSE_MS), deadline);
          continue;
        }
        if (failure === 'infra' && ++infra === MANY_INFRA) onTrouble(conversation, 'infrastructure');
        if (failure === 'overloaded') throw new AppError('overloaded', undefined, {}, { cause: error });
        if (failure === 'defect') {
          log.error({ ...facts, err: error }, 'the update failed');
          throw new AppError('internal', 'The conversation could not take the command', {}, { cause: error });
        }
        log.debug({ ...facts, err: error }, 'the update was not decided');
        if (Date.now() >= deadline) throw new AppError('deadline', undefined, {}, { cause: error });
        if (failure === 'gone') workflows.forget(conversation);
        // Temporal keeps a failed outcome under its update id.
        if (failure === 'gone' || failure === 'infra') attempt++;
        // After the first `gone` the next run takes the update at once.
        if (failure !== 'gone' || retries > 0) await pause(jitter(20, 200), deadline);
      }
    }
  };
}

/** The update that carries commands of this kind. */
function updateFor(command: StagedCommand | undefined): ConversationUpdate {
  switch (command?.kind) {
    case 'message':
      return sendMessages;
    case 'read':
      return resetUnread;
    case 'leave':
      return removeMember;
    case 'commit':
      if (!('change' in command)) return commit;
      return command.change === 'remove' ? removeMember : addMembers;
    // Roles, policy, bars, deletion, GroupInfos, reports, resets.
    default:
      return administer;
  }
}
