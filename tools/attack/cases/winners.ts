import { loadSuite } from '../../../client/testing.ts';
import type { AttackCase } from '../attack-case.ts';
import { realCommit, realExternalCommit, startRealGroup } from '../mls-group.ts';
import { Tally, failuresOf } from '../tally.ts';

export const winners: AttackCase = {
  name: 'winners',
  does: 'An outsider of an open group posts commits with ids that members used and for epochs that ended, and reads the refusals.',
  work: 'None. A refusal must not tell who committed what.',
  run: async (target) => {
    const tally = new Tally();
    const suite = await loadSuite();
    const group = await startRealGroup(target, suite, ['host', 'mate'], { externalJoin: 'anyone' });
    const path = `POST /v1/conversations/${group.id}/commits`;
    const own = await realCommit(group.stateOf('host'), suite);
    tally.add(await target.ask(path, { user: 'host', body: { ...own.body, id: 'used-by-host' } }));
    const stale = await realExternalCommit(group.stateOf('host'), suite, 'spy');
    const current = await realExternalCommit(own.state, suite, 'spy');
    const answers = [
      await target.ask(path, { user: 'spy', body: stale.body }),
      await target.ask(path, { user: 'spy', body: { ...stale.body, id: 'used-by-host' } }),
      await target.ask(path, { user: 'spy', body: { ...current.body, id: 'used-by-host' } }),
    ];
    for (const answer of answers) tally.add(answer);
    return {
      achieved: tally.counts,
      failures: failuresOf({
        'An outsider was told the winner of an epoch.': answers.some(({ body }) => 'winner' in body || 'after' in body),
        'An outsider was told that an id was used.': answers.some(({ body }) => body.code === 'id-reused'),
      }),
    };
  },
};
