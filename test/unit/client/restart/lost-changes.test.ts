import { describe, expect, test } from 'vitest';
import type { CommitNote, GroupDevice } from '../../../../client/restart/journal.ts';
import { lostChanges, missingUsers, zombies } from '../../../../client/restart/lost-changes.ts';

const device = (user: string, key = `${user} key`): GroupDevice => ({ user, key });
const commit = (seq: number, changes: Partial<CommitNote>): CommitNote => ({
  ...{ seq, epoch: seq, isOwn: false, added: [], removed: [] },
  ...changes,
});
const members = (...devices: readonly GroupDevice[]): Map<string, string> =>
  new Map(devices.map(({ user, key }) => [key, user]));

const [alice, bob, carol] = [device('alice'), device('bob'), device('carol')];
const laptop = device('bob', 'laptop');

describe('what lost commits had done', () => {
  test('is a removal of a user, whose every device has to go again, also one that it has added meanwhile', () => {
    const { removals } = lostChanges([commit(4, { removed: [carol] })], members(alice, bob));
    expect(removals).toEqual([{ ...carol, isWholeUser: true }]);
    const restored = members(alice, bob, carol, device('carol', 'tablet'));
    expect(zombies(restored, removals)).toEqual([carol.key, 'tablet']);
    expect(zombies(members(alice, bob), removals)).toEqual([]);
  });

  test('is a removal of one device, and the others of its user stay', () => {
    const { removals } = lostChanges([commit(4, { removed: [laptop] })], members(alice, bob));
    expect(removals).toEqual([{ ...laptop, isWholeUser: false }]);
    expect(zombies(members(alice, bob, laptop), removals)).toEqual([laptop.key]);
  });

  test('is an addition, which the one that had made it repeats first', () => {
    const { adds } = lostChanges([commit(4, { added: [carol], isOwn: true })], members(alice, bob, carol));
    expect(adds).toEqual([{ ...carol, isOwn: true }]);
    expect(missingUsers(members(alice, bob), adds)).toEqual(['carol']);
    expect(missingUsers(members(alice, device('carol', 'tablet')), adds)).toEqual([]);
  });

  test('is nothing where a device went and came', () => {
    const went = [commit(4, { removed: [carol] }), commit(5, { added: [carol] })];
    expect(lostChanges(went, members(alice, bob, carol))).toEqual({ removals: [], adds: [] });
  });

  test('is a removal where a device came and went: a member that had read only the addition repeats it', () => {
    const came = [commit(4, { added: [carol] }), commit(5, { removed: [carol] })];
    const { removals, adds } = lostChanges(came, members(alice, bob));
    expect(zombies(members(alice, bob, carol), removals)).toEqual([carol.key]);
    expect(adds).toEqual([]);
  });

  test('is an addition where a device came, went and came', () => {
    const commits = [commit(4, { added: [carol] }), commit(5, { removed: [carol] }), commit(6, { added: [carol] })];
    const changes = lostChanges(commits, members(alice, bob, carol));
    expect(changes).toEqual({ removals: [], adds: [{ ...carol, isOwn: false }] });
  });

  test('adds up over two restarts', () => {
    const first = lostChanges([commit(4, { removed: [carol] })], members(alice, bob));
    const second = lostChanges([commit(4, { removed: [bob] })], members(alice), first);
    expect(second.removals.map(({ user }) => user)).toEqual(['carol', 'bob']);
    const undone = lostChanges([commit(5, { added: [carol] })], members(alice, bob, carol), first);
    expect(undone).toEqual({ removals: [], adds: [] });
  });
});
