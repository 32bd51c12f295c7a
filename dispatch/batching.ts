import { MAX_BATCH_BYTES, MAX_BATCH_OPERATIONS } from '../domain/limits.ts';
import { type QueuedCommand, sharesBatch } from './queued-command.ts';

/**
 * Takes the next batch out of a queue: messages (or read marks) that follow one another share one, every other command
 * goes alone. Commands that are settled already leave the queue with it.
 * @param waitingUsers users with a commit that waits for a reservation; their commands stay where they are
 */
export function takeBatch(queue: QueuedCommand[], waitingUsers: ReadonlySet<string>): QueuedCommand[] {
  if (waitingUsers.size > 0) return takeFromOthers(queue, waitingUsers);
  const open = queue.findIndex((queued) => !queued.settled);
  const settled = queue.splice(0, open === -1 ? queue.length : open);
  return [...settled, ...queue.splice(0, batchLength(queue))];
}

function takeFromOthers(queue: QueuedCommand[], waitingUsers: ReadonlySet<string>): QueuedCommand[] {
  const free = queue.filter((queued) => !queued.settled && !waitingUsers.has(queued.submission.command.actor));
  const taken = new Set(free.slice(0, batchLength(free)));
  const isTaken = (queued: QueuedCommand): boolean => queued.settled || taken.has(queued);
  const batch = queue.filter(isTaken);
  queue.splice(0, queue.length, ...queue.filter((queued) => !isTaken(queued)));
  return batch;
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
