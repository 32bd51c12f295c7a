import { type ObjectContext, handlers, object } from '@restatedev/restate-sdk';
import type pg from 'pg';
import type { Notifier } from '../../../../store/log/notifications.ts';
import { type PeerOutcome, type WireCommand, fromWire } from '../command.ts';
import { storeAlone } from '../single-writer/statement.ts';

/**
 * A virtual object for each conversation. Restate runs one handler of an object at a time, so the log has one writer.
 * The statement is the only step and finds a repetition by its id, so it needs no `ctx.run`: Restate's guide to databases
 * says to run such a step directly, which saves a round trip to the journal.
 */
export function conversationObject(name: string, pool: pg.Pool, notifier: Notifier): ReturnType<typeof object> {
  const decide = async (_: ObjectContext, command: WireCommand): Promise<PeerOutcome> => {
    const outcome = await storeAlone(pool, fromWire(command));
    if (outcome.status === 'accepted') notifier.entry(command.conversation, outcome.seq);
    return outcome;
  };
  return object({
    name,
    // Nothing is kept after the answer: the log itself knows what was answered.
    handlers: { decide: handlers.object.exclusive({ journalRetention: 0 }, decide) },
    // The object has no state that Restate could send along.
    options: { enableLazyState: true },
  });
}
