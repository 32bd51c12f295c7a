import type { CiphersuiteImpl, ClientState } from 'ts-mls';
import { createGroup } from 'ts-mls';
import { groupInfoOf, loadSuite } from '../../../client/testing.ts';
import type { Answer } from '../../harness/answer.ts';
import type { AttackCase, Target } from '../attack-case.ts';
import { realCommit, realExternalCommit, startRealGroup } from '../mls-group.ts';
import { newKeys } from '../own-keys.ts';
import { newGroupId } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

const ANYONE = { externalJoin: 'anyone' };

export const comesBack: AttackCase = {
  name: 'comes-back',
  does: 'A removed member joins the successor of a reset by itself; another one leaves to escape its removal, and comes back.',
  work: 'None. Who was removed or barred needs an add.',
  run: async (target) => {
    const tally = new Tally();
    const suite = await loadSuite();
    const group = await startRealGroup(target, suite, ['warden', 'mallory', 'trudy'], ANYONE);
    const warden = group.stateOf('warden');
    const removal = await realCommit(warden, suite, [
      { proposalType: 'remove', remove: { removed: leafOf(warden, 'mallory') } },
    ]);
    const path = `/v1/conversations/${group.id}`;
    const removed = await target.ask(`POST ${path}/commits`, {
      user: 'warden',
      body: { ...removal.body, removes: ['mallory'] },
    });
    tally.note(`removal ${removed.status}`);
    // The other one leaves before it is removed, and the admin bars it.
    const bar = await target.ask(`POST ${path}/members/trudy/bar`, { user: 'warden', body: {} });
    tally.note(`bar ${bar.status}`);
    const left = await target.ask(`POST ${path}/members/trudy/remove`, { user: 'trudy', body: {} });
    tally.note(`leave ${left.status}`);
    const back: Answer[] = [await join(target, suite, removal.state, group.id, 'trudy')];

    const successor = newGroupId();
    tally.add(await target.ask(`POST ${path}/reset`, { user: 'warden', body: { successor } }));
    const fresh = await freshGroup(suite, successor, 'warden');
    const body = { groupInfo: await groupInfoOf(fresh, suite) };
    tally.add(await target.ask(`PUT /v1/conversations/${successor}/group-info`, { user: 'warden', body }));
    for (const user of ['mallory', 'trudy']) back.push(await join(target, suite, fresh, successor, user));
    for (const answer of back) tally.note(`comes back ${answer.status}`);
    return {
      achieved: tally.counts,
      failures: failuresOf({
        'Somebody who was removed or barred came back by itself.': back.some(({ status }) => status < 300),
        [`An admin could not bar a member (${bar.status}).`]: bar.status >= 300,
        'Somebody who was removed or barred was not answered 403 or 404.': back.some(
          ({ status }) => status >= 300 && ![403, 404].includes(status),
        ),
      }),
    };
  },
};

async function join(
  target: Target,
  suite: CiphersuiteImpl,
  from: ClientState,
  id: string,
  user: string,
): Promise<Answer> {
  const { body } = await realExternalCommit(from, suite, user);
  return target.ask(`POST /v1/conversations/${id}/commits`, { user, body });
}

/** The group of a successor, at its epoch 0. */
async function freshGroup(suite: CiphersuiteImpl, id: string, user: string): Promise<ClientState> {
  const { publicPackage, privatePackage } = await newKeys(user, suite);
  return createGroup(new Uint8Array(Buffer.from(id, 'base64url')), publicPackage, privatePackage, [], suite);
}

function leafOf({ ratchetTree }: ClientState, user: string): number {
  const index = ratchetTree.findIndex(
    (node) =>
      node?.nodeType === 'leaf' &&
      node.leaf.credential.credentialType === 'basic' &&
      Buffer.from(node.leaf.credential.identity).toString() === user,
  );
  return index / 2;
}
