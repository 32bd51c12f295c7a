import type { AttackCase } from '../attack-case.ts';
import { privateCommit } from '../mls-bytes.ts';
import { newGroupId, seedConversation } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

export const unreadableCommit: AttackCase = {
  name: 'unreadable-commit',
  does: 'A member ends the epoch with a private commit that nobody can read. The service cannot know. The others report it.',
  work: 'None. The log names who did it, and the reset works.',
  run: async (target) => {
    const tally = new Tally();
    const users = ['chair', 'vandal', 'anna', 'berta'];
    const id = await seedConversation(target.pool, users, { protocol: 'mls' });
    const path = `/v1/conversations/${id}`;
    const body = { commit: privateCommit(id, 0) };
    const done = tally.add(await target.ask(`POST ${path}/commits`, { user: 'vandal', body }));
    const log = await target.ask(`GET ${path}/messages?kind=commit`, { user: 'anna' });
    const [entry] = (log.body.entries ?? []) as readonly { readonly sender?: string }[];
    for (const user of ['anna', 'berta', 'chair']) {
      const report = { seq: 1, epoch: 0, reason: 'The commit cannot be processed' };
      tally.add(await target.ask(`POST ${path}/reports`, { user, body: report }));
    }
    const successor = newGroupId();
    const reset = await target.ask(`POST ${path}/reset`, { user: 'chair', body: { successor } });
    tally.note(`reset ${reset.status}`);
    return {
      achieved: tally.counts,
      failures: failuresOf({
        'The member could not commit, so the case shows nothing.': done.status !== 200,
        'The log does not name who sent the commit.': entry?.sender !== 'vandal',
        [`The admin could not reset: ${reset.status}.`]: reset.status !== 201,
      }),
    };
  },
};
