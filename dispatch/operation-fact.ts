import type { CommandKind } from '../domain/command.ts';
import type { ProblemCode } from '../domain/errors.ts';
import type { LifeOperation } from '../domain/life-event.ts';
import type { Outcome } from '../domain/outcome.ts';
import type { CommandProgress } from '../process/progress.ts';

/**
 * What operators see of an operation. Its sender is left out: the log pairs no sender with a message.
 * @param since by `performance.now()`
 * @param answer its outcome, or the code of the problem if nothing decided it
 */
export function operationFact(
  kind: CommandKind,
  { operation, path, reason }: Pick<CommandProgress, 'operation' | 'path' | 'reason'>,
  since: number,
  answer: Outcome | ProblemCode,
): LifeOperation {
  const way = path === 'workflow' || path === 'direct' ? { path, ...(reason === undefined ? {} : { reason }) } : {};
  return {
    type: 'operation',
    at: Date.now(),
    operation,
    kind,
    ...way,
    ...(typeof answer === 'string' ? { outcome: answer } : decisionOf(answer)),
    ms: Math.round(performance.now() - since),
  };
}

function decisionOf(outcome: Outcome): Pick<LifeOperation, 'outcome' | 'seq' | 'epoch'> {
  if (outcome.status === 'refused') return { outcome: outcome.code };
  return {
    outcome: outcome.status,
    ...('seq' in outcome ? { seq: outcome.seq } : {}),
    ...('epoch' in outcome ? { epoch: outcome.epoch } : {}),
  };
}
