import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { expect, test } from 'vitest';
import type { Command } from '../../../domain/command.ts';
import type { Outcome } from '../../../domain/outcome.ts';
import { type StagedCommand, toStagedCommand } from '../../../domain/staged-command.ts';
import { decide, decideCommands } from '../../../store/decision/decide.ts';
import { stage, stageRow } from '../../../store/staging/stage.ts';
import {
  commitSubmission,
  createInStore,
  leaveSubmission,
  membershipSubmission,
  messageSubmission,
} from '../../../tools/harness/submissions.ts';
import { useDatabase } from '../../harness/database.ts';

// A command may be on its way twice: in an update that nobody answers, and on the direct path that was taken instead.
const database = useDatabase();
const USERS = ['alice', 'bob', 'carol'];

async function staged(pool: pg.Pool, conversation: string, command: Command): Promise<StagedCommand> {
  const row = stageRow(conversation, command);
  const [key] = row === undefined ? [] : await stage(pool, [row]);
  if (typeof key !== 'number') throw new Error(`It was not staged: ${key}`);
  return toStagedCommand(command, key);
}

async function one(
  pool: pg.Pool,
  conversation: string,
  command: Command | StagedCommand,
): Promise<Outcome | undefined> {
  return (await decideCommands(pool, conversation, [command])).outcomes[0];
}

async function rowsOf(pool: pg.Pool): Promise<number | null> {
  return (await pool.query('select from staged')).rowCount;
}

const base = (actor: string): { id: string; actor: string } => ({ id: randomUUID(), actor });

/** Commands that bob, a member, may not give, and the admin alice may. */
const OF_ADMINS: Readonly<Record<string, (actor: string) => Command>> = {
  role: (actor) => ({ ...base(actor), kind: 'role', user: 'carol', role: 'admin' }),
  policy: (actor) => ({ ...base(actor), kind: 'policy', policy: { maxMembers: 7, retentionDays: null } }),
  bar: (actor) => ({ ...base(actor), kind: 'bar', user: 'carol', barred: true }),
  reset: (actor) => ({ ...base(actor), kind: 'reset', successor: Buffer.from(randomUUID()).toString('base64url') }),
  delete: (actor) => ({ ...base(actor), kind: 'delete' }),
  add: (actor) => membershipSubmission('', actor, { adds: ['dave'] }).command,
  remove: (actor) => membershipSubmission('', actor, { removes: ['carol'] }).command,
};

test.each(Object.entries(OF_ADMINS))(
  'what was refused stays refused: the late copy of %s finds no row, although its sender became an admin',
  async (_, commandOf) => {
    const { pool } = database();
    const id = await createInStore(pool, USERS, { whoMayAdd: 'admin', whoMayRemove: 'admin' });
    const command = commandOf('bob');
    const late = await staged(pool, id, command);
    expect(JSON.stringify(late)).not.toMatch(/bob|carol|dave/);
    expect(await one(pool, id, late)).toMatchObject({ status: 'refused', code: 'not-allowed' });
    await one(pool, id, { ...base('alice'), kind: 'role', user: 'bob', role: 'admin' });
    const before = await decide(pool, id, []);
    expect(await one(pool, id, late)).toMatchObject({ status: 'refused', code: 'body-missing' });
    expect(await decide(pool, id, [])).toEqual(before);
    expect(await rowsOf(pool)).toBe(0);
  },
);

test.each(Object.entries({ ...OF_ADMINS, leave: (actor: string): Command => leaveSubmission('', actor).command }))(
  '%s is decided by its staged row as it is inline, and answered once more when it comes inline after that',
  async (kind, commandOf) => {
    const { pool } = database();
    const [byRow, inline] = [await createInStore(pool, USERS), await createInStore(pool, USERS)];
    const command = commandOf('alice');
    const late = await staged(pool, byRow, command);
    const first = await one(pool, byRow, late);
    expect(first).toMatchObject({ status: 'accepted' });
    const {
      seq: _,
      at: __,
      chain: ___,
      ...comparable
    } = { seq: 0, at: '', chain: '', ...(await one(pool, inline, command)) };
    // A successor cannot be that of two.
    if (kind !== 'reset') expect(first).toMatchObject(comparable);
    // The copy on the other path: its row is gone, so it is decided inline, and that is a duplicate.
    expect(await one(pool, byRow, late), kind).toMatchObject({ status: 'refused', code: 'body-missing' });
    expect(await one(pool, byRow, command)).toMatchObject({ ...first, status: 'duplicate' });
    expect(await rowsOf(pool)).toBe(0);
  },
);

test('a message that was refused as ahead of its epoch is not accepted by its late copy', async () => {
  const { pool } = database();
  const id = await createInStore(pool, USERS);
  const command = { ...messageSubmission(id, 'bob').command, epoch: 1 };
  const late = await staged(pool, id, command);
  expect(await one(pool, id, late)).toMatchObject({ status: 'refused', code: 'epoch-ahead' });
  await one(pool, id, commitSubmission(id, 'alice', 0).command);
  expect(await one(pool, id, late)).toMatchObject({ status: 'refused', code: 'body-missing' });
  // Sent again by its client it is accepted: refusals are remembered nowhere.
  expect(await one(pool, id, command)).toMatchObject({ status: 'accepted' });
});
