import type { Logger } from 'pino';
import type pg from 'pg';
import type { Command } from '../domain/command.ts';
import type { StagedCommand } from '../domain/staged-command.ts';
import { AppError } from '../domain/errors.ts';
import { decideCommands } from '../store/decision/decide.ts';
import type { Notifier } from '../store/log/notifications.ts';
import { type Tracing, traceNow } from '../process/tracing.ts';
import { forUser } from '../store/pool-share.ts';
import { isRetryable } from '../store/sqlstate.ts';
import { lockedProblem } from './conversation-lock.ts';
import { batchFacts } from './batch-facts.ts';
import type { Executor } from './executor.ts';
import { jitter, pause } from './pause.ts';
import { waitedFor } from './waited-for.ts';

const SQL = { 'db.system.name': 'postgresql', 'db.operation.name': 'decide' };

export interface DirectExecutorDeps {
  readonly pool: pg.Pool;
  readonly notifier: Notifier;
  readonly log: Logger;
  readonly onRetry: (reason: string) => void;
  /** @default off */
  readonly tracing?: Tracing | undefined;
}

/** Hands a batch to the deciding transaction in this process, without Temporal. Bytes travel inline. */
export function makeDirectExecutor(deps: DirectExecutorDeps): Executor<Command | StagedCommand> {
  return async ({ conversation, commands, deadline, correlationIds, onWait = () => undefined }) => {
    const user = onlyActor(commands);
    for (let retries = 0; ; retries++) {
      const from = deps.tracing === undefined ? 0 : traceNow();
      const traced = (error?: string): void =>
        deps.tracing?.step({ step: 'sql of direct', correlationIds, from, until: traceNow(), attributes: SQL, error });
      try {
        // The request that started the batch may be another user's. A batch of several users counts for none.
        const beneficiary = user === undefined ? undefined : { user, deadline };
        const { facts, outcomes } = await forUser(beneficiary, () =>
          decideCommands(deps.pool, conversation, commands, { user, deadline }),
        );
        traced();
        if (facts.found) deps.notifier.entry(conversation, facts.lastSeq, facts.changed);
        return { outcomes, retries };
      } catch (error) {
        const waitsFor = waitedFor(error) ?? 'nothing';
        onWait(waitsFor);
        traced(waitsFor);
        const locked = lockedProblem(error);
        if (locked !== undefined) throw locked;
        if (!isRetryable(error)) {
          deps.log.error(
            { err: error, ...batchFacts({ conversation, commands, correlationIds }, 'direct', waitsFor) },
            'the batch could not be decided',
          );
          throw new AppError('internal', undefined, {}, { cause: error });
        }
        deps.onRetry('postgres');
        if (Date.now() >= deadline)
          throw new AppError('unavailable', 'The database does not answer', {}, { cause: error });
        await pause(jitter(50, 300), deadline);
      }
    }
  };
}

/** The user of all commands. @returns `undefined` if they are of several users */
function onlyActor([first, ...others]: readonly (Command | StagedCommand)[]): string | undefined {
  const actor = actorOf(first);
  return others.every((command) => actorOf(command) === actor) ? actor : undefined;
}

/** The sender of a staged command stands in its row. */
function actorOf(command: Command | StagedCommand | undefined): string | undefined {
  return command !== undefined && 'actor' in command ? command.actor : undefined;
}
