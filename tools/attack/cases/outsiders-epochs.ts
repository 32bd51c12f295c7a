import { loadSuite } from '../../../client/testing.ts';
import type { AttackCase } from '../attack-case.ts';
import { realExternalCommit, startRealGroup } from '../mls-group.ts';
import { Tally, failuresOf } from '../tally.ts';

const OUTSIDERS = 5;

export const outsidersEpochs: AttackCase = {
  name: 'outsiders-epochs',
  does: 'Outsiders end the epochs of an open group one after another by external commits, while its members do nothing.',
  work: 'None. The epoch of an outsider is on trial until a prior member acts in it.',
  run: async (target) => {
    const tally = new Tally();
    const suite = await loadSuite();
    const users = ['host', 'guest-1', 'guest-2'];
    const group = await startRealGroup(target, suite, users, { externalJoin: 'anyone' });
    let state = group.stateOf('host');
    let accepted = 0;
    for (let i = 0; i < OUTSIDERS; i++) {
      const next = await realExternalCommit(state, suite, `outsider-${i}`);
      const answer = await target.ask(`POST /v1/conversations/${group.id}/commits`, {
        user: `outsider-${i}`,
        body: next.body,
      });
      tally.add(answer);
      if (answer.status !== 200) continue;
      accepted++;
      state = next.state;
    }
    // A prior member reports that it cannot follow. Most of them do, and the trial is over.
    const reports = await Promise.all(
      users.map((user) =>
        target.ask(`POST /v1/conversations/${group.id}/reports`, {
          user,
          body: { seq: accepted, epoch: group.epoch, reason: 'The commit cannot be processed' },
        }),
      ),
    );
    for (const report of reports) tally.note(`report ${report.status}`);
    return {
      achieved: tally.counts,
      failures: failuresOf({
        [`${accepted} outsiders in a row ended epochs.`]: accepted > 1,
        'Not even the first outsider could join an open group.': accepted === 0,
      }),
    };
  },
};
