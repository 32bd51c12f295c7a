import type pg from 'pg';
import type { Submitter } from '../../../../dispatch/submission.ts';
import { outcomeFor } from '../../../../domain/outcome.ts';
import type { Notifier } from '../../../../store/log/notifications.ts';
import { peerCommand } from '../command.ts';
import { type Actor, makeActor } from './actor.ts';

/** Submitter of the actors: they live in the API process, one for each conversation that was ever used, as in the original. */
export function makeActorSubmitter(pool: pg.Pool, notifier: Notifier): Submitter {
  const actors = new Map<string, Actor>();
  return {
    submit: async (submission) => {
      const { conversation } = submission;
      let actor = actors.get(conversation);
      if (actor === undefined) actors.set(conversation, (actor = makeActor(pool, conversation)));
      const outcome = await actor.ask(peerCommand(submission));
      if (outcome.status === 'accepted') notifier.entry(conversation, outcome.seq);
      return outcomeFor(submission.command, outcome);
    },
  };
}
