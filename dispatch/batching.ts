import { MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS } from '../domain/limits.ts';
import { type QueuedCommand, sharesBatch } from './queued-command.ts';

/**
 * The next batch of a queue: messages (or read marks) that follow one another share one, every other command goes alone.
 * @param blockedUsers users with a command that is not decided yet; their later commands stay where they are
 * @param mayGo commands that may go now; the others stay, with all later ones of their users
 */
export function nextBatch(
  queue: readonly QueuedCommand[],
  blockedUsers: ReadonlySet<string>,
  mayGo?: (queued: QueuedCommand) => boolean,
): QueuedCommand[] {
  const open =
    blockedUsers.size === 0 && mayGo === undefined && !queue.some(({ settled }) => settled)
      ? queue
      : free(queue, blockedUsers, mayGo);
  return open.slice(0, batchLength(open));
}

/** Takes commands out of a queue, and those that are settled already. @returns the settled ones */
export function takeOut(queue: QueuedCommand[], batch: readonly QueuedCommand[]): QueuedCommand[] {
  const taken = new Set(batch);
  const settled = queue.filter((queued) => queued.settled && !taken.has(queued));
  const isHead = settled.length === 0 && queue[batch.length - 1] === batch.at(-1);
  if (isHead) queue.splice(0, batch.length);
  else queue.splice(0, queue.length, ...queue.filter((queued) => !queued.settled && !taken.has(queued)));
  return settled;
}

/** Whose turn it can be, in order. A command that stays holds back the later ones of its user. */
function free(
  queue: readonly QueuedCommand[],
  blockedUsers: ReadonlySet<string>,
  mayGo: (queued: QueuedCommand) => boolean = () => true,
): QueuedCommand[] {
  const held = new Set<string>();
  return queue.filter((queued) => {
    const { actor } = queued.submission.command;
    if (queued.settled || blockedUsers.has(actor) || held.has(actor)) return false;
    if (mayGo(queued)) return true;
    held.add(actor);
    return false;
  });
}

/** How many commands at the head of a queue go together. */
function batchLength(queue: readonly QueuedCommand[]): number {
  const [first] = queue;
  if (first === undefined) return 0;
  const shares = sharesBatch(first);
  let bytes = 0;
  let count = 0;
  for (const { submission } of queue) {
    const { command } = submission;
    if ('bytes' in command) bytes += command.bytes.ciphertext.length;
    const fits = count < MAX_BATCH_OPERATIONS && bytes <= MAX_BATCH_BYTES;
    if (count > 0 && !(shares && fits && command.kind === first.submission.command.kind)) break;
    count++;
  }
  return count;
}
