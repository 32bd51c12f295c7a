import { loadSuite } from '../../../client/testing.ts';
import type { AttackCase } from '../attack-case.ts';
import { groupInfoBytes, inventedTree } from '../mls-bytes.ts';
import { realCommit, startRealGroup } from '../mls-group.ts';
import { Tally } from '../tally.ts';

export const groupInfoSquatting: AttackCase = {
  name: 'group-info-squatting',
  does: 'A member supplies GroupInfos without tree, with a wrong tree hash, with an `external_pub` of 3 bytes and with an invented suite, before the admin supplies the real one.',
  work: 'None. The group stays closed for everybody who needs the GroupInfo.',
  run: async (target) => {
    const tally = new Tally();
    const suite = await loadSuite();
    const group = await startRealGroup(target, suite, ['admin', 'squatter']);
    // A private commit without its GroupInfo opens the place; where the policy requires it, the commit is refused.
    const admin = await realCommit(group.stateOf('admin'), suite);
    const path = `/v1/conversations/${group.id}`;
    const { groupInfo: real, commit } = admin.body;
    await target.pool.query(`update conversation set policy = policy || '{"groupInfo": "optional"}' where id = $1`, [
      group.id,
    ]);
    tally.add(await target.ask(`POST ${path}/commits`, { user: 'admin', body: { commit } }));
    await target.pool.query(`update conversation set policy = policy || '{"groupInfo": "required"}' where id = $1`, [
      group.id,
    ]);

    const epoch = group.epoch + 1;
    const base = { conversation: group.id, epoch };
    const realBytes = Buffer.from(real, 'base64');
    const squats: readonly (readonly [string, string])[] = [
      ['without a tree', groupInfoBytes({ ...base, tree: null, externalPub: Buffer.alloc(32, 9) })],
      ['with a tree that does not fit its hash', withWrongTreeHash(realBytes, real)],
      [
        'with an external_pub of 3 bytes',
        groupInfoBytes({ ...base, tree: inventedTree(2), externalPub: Buffer.alloc(3) }),
      ],
      [
        'of suite 0xF000',
        groupInfoBytes({ ...base, suite: 0xf000, tree: inventedTree(2), externalPub: Buffer.alloc(32) }),
      ],
    ];
    const failures: string[] = [];
    for (const [what, groupInfo] of squats) {
      const answer = tally.add(await target.ask(`PUT ${path}/group-info`, { user: 'squatter', body: { groupInfo } }));
      if (answer.status < 300) failures.push(`A GroupInfo ${what} was accepted.`);
    }
    const own = await target.ask(`PUT ${path}/group-info`, { user: 'admin', body: { groupInfo: real } });
    tally.note(`the admin's ${own.status}`);
    const read = await target.ask(`GET ${path}/group-info`, { user: 'admin' });
    if (own.status >= 300) failures.push(`The admin's real GroupInfo was refused: ${own.status}.`);
    if (read.body.groupInfo !== real) failures.push("Members do not get the admin's real GroupInfo.");
    return { achieved: tally.counts, failures };
  },
};

/** The real GroupInfo with one bit of its tree hash changed. */
function withWrongTreeHash(bytes: Buffer, original: string): string {
  const changed = Buffer.from(original, 'base64');
  // version, wire format, version, suite, group id (1 + 16), epoch (8), length of the tree hash (1), its first byte
  const at = 2 + 2 + 2 + 2 + 17 + 8 + 1;
  changed[at] = (bytes[at] ?? 0) ^ 1;
  return changed.toString('base64');
}
