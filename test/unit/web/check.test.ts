import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ChatConversation, ChatMessage, MessageState } from '../../../client/index.ts';
import { MOST_COMPARED, RunningCheck, type Verdict } from '../../../web/break/check.ts';
import { countWords, wrongWords } from '../../../web/break/check-words.ts';

const CONVERSATION = 'c';
/** Later than everything that is waited for. */
const LATER = 1_000_000;
const DAY_MS = 24 * 3_600_000;

function message(id: string, state: MessageState, { isOwn = false, isDeleted = false, at = 0 } = {}): ChatMessage {
  return {
    ...{ id, conversation: CONVERSATION, sender: 'alice', device: 'key', text: 'hello', at },
    ...{ state, isOwn, isDeleted },
  };
}
const seen = (id: string, seq: number, more?: Parameters<typeof message>[2]): ChatMessage =>
  message(id, { kind: 'seen', seq }, more);

/** A window with its check. */
function open(window: string): {
  check: RunningCheck;
  see: (messages: ChatMessage[], state?: ChatConversation['state'], isOnline?: boolean, isReplaced?: boolean) => void;
} {
  const check = new RunningCheck({ window, user: window, conversation: CONVERSATION });
  return {
    check,
    see: (messages, state = 'joined', isOnline = true, isReplaced = false) =>
      check.see({ messages, state, isOnline, isReplaced }),
  };
}

function judged(check: RunningCheck, now: number): Verdict {
  const verdict = check.verdict(now);
  if (verdict === undefined) throw new Error('the check has seen nothing');
  return verdict;
}
/** The verdict after all waiting times. */
function settled(check: RunningCheck): Verdict {
  judged(check, 0);
  return judged(check, LATER);
}
const wrong = ({ lost, doubled, disordered }: Verdict): number[] => [lost, doubled, disordered];

describe('one window', () => {
  test('counts what it sent, what is in the log, and what it read', () => {
    const { check, see } = open('a');
    see([]);
    see([seen('m1', 3, { isOwn: true }), seen('m2', 4), message('m3', { kind: 'waiting' }, { isOwn: true })]);
    expect(settled(check)).toEqual({
      sent: 2,
      inLog: 1,
      waiting: 1,
      read: 2,
      lost: 0,
      doubled: 0,
      disordered: 0,
      isWhole: true,
      windows: 0,
    });
  });

  test('says nothing before it has seen the conversation', () => {
    const { check, see } = open('a');
    expect(check.verdict(0)).toBeUndefined();
    see([]);
    expect(check.verdict(0)).toMatchObject({ sent: 0, lost: 0 });
  });

  test('says that it looks at the end of a long conversation only', () => {
    const { check, see } = open('a');
    const all = Array.from({ length: MOST_COMPARED }, (_, i) => seen(`m${i}`, i + 1, { isOwn: true }));
    see(all.slice(1));
    expect(settled(check)).toMatchObject({ sent: MOST_COMPARED - 1, isWhole: true });
    see(all);
    expect(settled(check)).toMatchObject({ sent: MOST_COMPARED, isWhole: false });
  });

  test('finds an acknowledged message that is gone', () => {
    const { check, see } = open('a');
    see([message('m1', { kind: 'sent', seq: 3 }, { isOwn: true })]);
    see([]);
    expect(wrong(settled(check))).toEqual([1, 0, 0]);
  });

  test('lets a message be cancelled that was not acknowledged', () => {
    const { check, see } = open('a');
    see([message('m1', { kind: 'waiting' }, { isOwn: true })]);
    see([]);
    expect(wrong(settled(check))).toEqual([0, 0, 0]);
  });

  test('lets a message be cancelled that waits again, since a restore took it', () => {
    const { check, see } = open('a');
    see([message('m1', { kind: 'sent', seq: 3 }, { isOwn: true })]);
    check.restarted(2);
    see([message('m1', { kind: 'waiting' }, { isOwn: true })]);
    check.cancelled('m1');
    see([]);
    expect(wrong(settled(check))).toEqual([0, 0, 0]);
  });

  test('finds what a restore took and nobody sends again, since another conversation took the place', () => {
    const { check, see } = open('a');
    see([seen('m1', 3, { isOwn: true }), message('m2', { kind: 'sent', seq: 4 }, { isOwn: true })]);
    check.restarted(2);
    // What waits is handed over; what was read in the log is only marked.
    see([message('m1', { kind: 'lost', seq: 3 }, { isOwn: true })], 'removed', true, true);
    expect(wrong(settled(check))).toEqual([1, 0, 0]);
  });

  test('finds an acknowledged message that is not at its place', () => {
    const { check, see } = open('a');
    see([]);
    see([seen('m2', 4), message('m1', { kind: 'sent', seq: 3 }, { isOwn: true })]);
    expect(wrong(settled(check))).toEqual([1, 0, 0]);
  });

  test('finds a message that stands in the log twice', () => {
    const { check, see } = open('a');
    see([seen('m1', 3), seen('m1', 4)]);
    expect(wrong(settled(check))).toEqual([0, 1, 0]);
  });

  test('finds own messages in another order than they were written in', () => {
    const { check, see } = open('a');
    see([message('m1', { kind: 'waiting' }, { isOwn: true }), message('m2', { kind: 'waiting' }, { isOwn: true })]);
    see([seen('m2', 3, { isOwn: true }), seen('m1', 4, { isOwn: true })]);
    expect(wrong(settled(check))).toEqual([0, 0, 1]);
  });

  test('finds a message that comes after a later one', () => {
    const { check } = open('a');
    check.arrived(seen('m2', 4));
    check.arrived(seen('m1', 3));
    check.see({ messages: [], state: 'joined', isReplaced: false, isOnline: true });
    expect(judged(check, 0).disordered).toBe(1);
  });

  test('waits until a difference has lasted', () => {
    const { check, see } = open('a');
    see([message('m1', { kind: 'sent', seq: 3 }, { isOwn: true })]);
    see([]);
    expect(judged(check, 0).lost).toBe(0);
    expect(judged(check, 9_999).lost).toBe(0);
    expect(judged(check, 10_000).lost).toBe(1);
  });
});

describe('two windows', () => {
  /** Both see the same messages first, so that they vouch for what follows. */
  function two(): { a: ReturnType<typeof open>; b: ReturnType<typeof open>; compare: (now?: number) => number[] } {
    const [a, b] = [open('a'), open('b')];
    for (const { see } of [a, b]) see([seen('m1', 3)]);
    const compare = (now = LATER): number[] => {
      judged(a.check, 0);
      a.check.hear(b.check.report(now), now);
      judged(a.check, now);
      a.check.hear(b.check.report(now), now + 10_000);
      return wrong(judged(a.check, now + 10_000));
    };
    return { a, b, compare };
  }

  test('find what one of them has not read', () => {
    const { a, b, compare } = two();
    a.see([seen('m1', 3), seen('m2', 4), seen('m3', 5)]);
    b.see([seen('m1', 3), seen('m3', 5)]);
    expect(compare()).toEqual([1, 0, 0]);
  });

  test('find two messages at one place', () => {
    const { a, b, compare } = two();
    a.see([seen('m1', 3), seen('m2', 4), seen('m3', 5)]);
    b.see([seen('m1', 3), seen('mX', 4), seen('m3', 5)]);
    expect(compare()).toEqual([0, 0, 1]);
  });

  test('do not miss what one of them may still read', () => {
    const { a, b, compare } = two();
    a.see([seen('m1', 3), seen('m2', 4)]);
    b.see([seen('m1', 3)]);
    expect(compare()).toEqual([0, 0, 0]);
  });

  test('do not miss what was deleted', () => {
    const { a, b, compare } = two();
    a.see([seen('m1', 3), seen('m2', 4, { isDeleted: true }), seen('m3', 5)]);
    b.see([seen('m1', 3), seen('m3', 5)]);
    expect(compare()).toEqual([0, 0, 0]);
  });

  test('do not miss what was sent while one of them was no member', () => {
    const { a, b, compare } = two();
    b.see([seen('m1', 3)], 'removed');
    a.see([seen('m1', 3), seen('m2', 5), seen('m3', 7)]);
    b.see([seen('m1', 3), seen('m3', 7)]);
    expect(compare()).toEqual([0, 0, 0]);
  });

  test('do not miss what was sent before one of them joined again', () => {
    const { a, b, compare } = two();
    b.check.rejoined();
    a.see([seen('m1', 3), seen('m2', 5), seen('m3', 7)]);
    b.see([seen('m1', 3), seen('m3', 7)]);
    expect(compare()).toEqual([0, 0, 0]);
  });

  test('are not compared while one of them has no network', () => {
    const { a, b, compare } = two();
    a.see([seen('m1', 3), seen('m2', 4), seen('m3', 5)]);
    b.see([seen('m1', 3), seen('m3', 5)], 'joined', false);
    expect(compare()).toEqual([0, 0, 0]);
    expect(judged(a.check, LATER).windows).toBe(0);
    b.see([seen('m1', 3), seen('m2', 4), seen('m3', 5)]);
    compare();
    expect(judged(a.check, LATER).windows).toBe(1);
    a.see([seen('m1', 3), seen('m2', 4), seen('m3', 5)], 'repairing');
    expect(judged(a.check, LATER).windows).toBe(0);
  });

  test('are not compared with a window that has crashed, or was closed', () => {
    const { a, b } = two();
    a.see([seen('m1', 3), seen('m2', 4), seen('m3', 5)]);
    b.see([seen('m1', 3), seen('m3', 5)]);
    a.check.hear(b.check.report(0), 0);
    expect(judged(a.check, 0).windows).toBe(1);
    expect(judged(a.check, LATER)).toMatchObject({ lost: 0, windows: 0 });
    a.check.hear(b.check.report(0), 0);
    a.check.left('b');
    expect(judged(a.check, 0).windows).toBe(0);
  });

  test('do not miss what retention took before one of them read it', () => {
    const { a, b, compare } = two();
    a.see([seen('m1', 3), seen('m2', 4), seen('m3', 5, { at: DAY_MS })]);
    b.see([seen('m1', 3), seen('m3', 5, { at: DAY_MS })]);
    expect(compare(DAY_MS)).toEqual([0, 0, 0]);
    // What came since then is missed.
    a.see([seen('m1', 3), seen('m3', 5, { at: DAY_MS }), seen('m4', 6, { at: DAY_MS }), seen('m5', 7, { at: DAY_MS })]);
    b.see([seen('m1', 3), seen('m3', 5, { at: DAY_MS }), seen('m5', 7, { at: DAY_MS })]);
    expect(compare(DAY_MS)).toEqual([1, 0, 0]);
  });

  test('are not compared by what was said before a restore', () => {
    const { a, b } = two();
    for (const { see } of [a, b]) see([seen('m1', 3), seen('m2', 4), seen('m3', 5)]);
    a.check.hear(b.check.report(0), 0);
    a.check.restarted(3);
    a.see([seen('m1', 3), seen('m4', 4), seen('m2', 5)]);
    judged(a.check, 0);
    expect(wrong(judged(a.check, 10_000))).toEqual([0, 0, 0]);
  });
});

describe('a service that keeps its word, restored and not', () => {
  const doing = <Does extends string>(does: Does): fc.Arbitrary<{ does: Does; by: number }> =>
    fc.record({ does: fc.constant(does), by: fc.nat(2) });
  /** Things that happen and leave all windows able to compare what comes then. Windows read the log at their own speed. */
  const common = [
    { weight: 6, arbitrary: doing('send') },
    { weight: 2, arbitrary: doing('commit') },
    { weight: 6, arbitrary: doing('read') },
    { weight: 1, arbitrary: doing('rejoin') },
    { weight: 1, arbitrary: doing('delete') },
    { weight: 1, arbitrary: doing('day') },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('restore' as const), by: fc.nat(9) }) },
  ];
  const step = fc.oneof(...common);
  /** After these a window may have nothing to compare with: another one does nothing any more, or misses a message for good. */
  const anyStep = fc.oneof(
    ...common,
    { weight: 2, arbitrary: doing('freeze') },
    { weight: 1, arbitrary: doing('wake') },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('restore and cancel' as const), by: fc.nat(9) }) },
  );

  interface Person {
    readonly name: string;
    readonly check: RunningCheck;
    messages: ChatMessage[];
    /** Position in the log. */
    at: number;
    /** Its window does nothing, and its last report is all that the others have of it. */
    isFrozen: boolean;
    /** Where the log went on after the restores that it has not noticed. */
    agreed: number;
  }
  interface Entry {
    /** `undefined` = a commit. */
    readonly id: string | undefined;
    readonly at: number;
  }
  class World {
    log: Entry[] = [];
    readonly people: Person[] = ['a', 'b', 'c'].map((name) => ({
      ...{ name, check: open(name).check, messages: [], at: 0, isFrozen: false, agreed: Infinity },
    }));
    #made = 0;
    #now = 0;

    run(steps: readonly { does: string; by: number }[]): void {
      for (const person of this.people) this.#show(person);
      for (const { does, by } of steps) {
        const person = this.people[by % 3];
        if (person === undefined) continue;
        if (does === 'wake') this.#wake(person);
        if (does === 'commit') this.append(undefined);
        if (does === 'day') this.#now += DAY_MS;
        if (does === 'restore') this.#restore(by, false);
        if (does === 'restore and cancel') this.#restore(by, true);
        if (person.isFrozen) continue;
        if (does === 'send') this.#send(person);
        if (does === 'read') this.read(person);
        if (does === 'rejoin') this.#rejoin(person);
        if (does === 'delete') this.#delete(person);
        if (does === 'freeze') person.isFrozen = true;
      }
      for (const person of this.#awake) this.read(person);
      // The last message is read by all, so that what is missing before it is missing.
      for (const person of this.#awake) this.#send(person);
      for (const person of this.#awake) this.read(person);
    }

    /** Of all windows that are awake, after all waiting times, and before a frozen one counts as closed. */
    verdicts(): number[][] {
      for (const { check } of this.#awake) judged(check, this.#now);
      return this.#awake.map(({ check }) => wrong(judged(check, this.#now + 70_000)));
    }

    get #awake(): Person[] {
      return this.people.filter(({ isFrozen }) => !isFrozen);
    }

    append(id: string | undefined): void {
      this.log.push({ id, at: this.#now });
    }

    read(person: Person): void {
      for (; person.at < this.log.length; person.at++) {
        const { id, at = 0 } = this.log[person.at] ?? {};
        const isOwn = id?.startsWith(person.name) === true;
        // Retention took the bytes, which only its sender does not need.
        if (id === undefined || (at <= this.#now - DAY_MS && !isOwn)) continue;
        const one = seen(id, person.at + 1, { isOwn, at });
        const kept = person.messages.filter((other) => other.id !== id);
        const waits = kept.findIndex(({ state }) => state.kind !== 'seen');
        person.messages = waits === -1 ? [...kept, one] : [...kept.slice(0, waits), one, ...kept.slice(waits)];
        person.check.arrived(one);
        this.#show(person);
      }
    }

    #send(person: Person): void {
      const id = `${person.name}${this.#made++}`;
      person.messages = [...person.messages, message(id, { kind: 'waiting' }, { isOwn: true, at: this.#now })];
      this.#show(person);
      this.append(id);
      this.#became(person, id, { kind: 'sent', seq: this.log.length });
    }

    #became(person: Person, id: string, state: MessageState): void {
      person.messages = person.messages.map((one) => (one.id === id ? { ...one, state } : one));
      this.#show(person);
    }

    /** What came before it joined again cannot be read; its own messages that wait stay. */
    #rejoin(person: Person): void {
      this.read(person);
      person.check.rejoined();
      this.append(`x${this.#made++}`);
      for (const other of this.#awake) if (other !== person) this.read(other);
      person.at = this.log.length;
      this.#show(person);
    }

    #delete(person: Person): void {
      const newest = person.messages.find(({ isOwn, state }) => isOwn && state.kind === 'seen');
      if (newest === undefined) return;
      for (const other of this.#awake) {
        if (!other.messages.some(({ id, state }) => id === newest.id && state.kind === 'seen')) continue;
        other.messages = other.messages.map((one) => (one.id === newest.id ? { ...one, isDeleted: true } : one));
        this.#show(other);
      }
    }

    /** The service loses the end of the log. */
    #restore(lost: number, isCancelled: boolean): void {
      if (!isCancelled) for (const person of this.#awake) this.read(person);
      const agreed = Math.max(0, this.log.length - lost);
      // Who wrote these has no window here, and sends them again too.
      const others = this.log.splice(agreed).filter(({ id }) => id?.startsWith('x'));
      for (const person of this.people) person.agreed = Math.min(person.agreed, agreed);
      for (const person of this.#awake.reverse()) this.#repair(person, isCancelled);
      for (const { id } of others) this.append(id);
      for (const person of this.#awake) this.read(person);
    }

    /** It notices that the log was restored, and sends again what it had sent; what it had not read in the log may be given up. */
    #repair(person: Person, isCancelled: boolean): void {
      const { agreed, check } = person;
      person.agreed = Infinity;
      const isGone = ({ state }: ChatMessage): boolean => 'seq' in state && state.seq > agreed;
      const waits = person.messages.filter((one) => isGone(one) && one.state.kind === 'sent').map(({ id }) => id);
      check.restarted(agreed);
      person.at = Math.min(person.at, agreed);
      person.messages = person.messages.map((one) => {
        if (waits.includes(one.id)) return { ...one, state: { kind: 'waiting' } };
        return isGone(one) && 'seq' in one.state ? { ...one, state: { kind: 'lost', seq: one.state.seq } } : one;
      });
      this.#show(person);
      if (isCancelled)
        for (const id of waits) {
          person.messages = person.messages.filter((one) => one.id !== id);
          check.cancelled(id);
          this.#show(person);
        }
      this.read(person);
      const again = person.messages.filter(
        ({ isOwn, state }) => isOwn && (state.kind === 'lost' || state.kind === 'waiting'),
      );
      for (const { id } of again.reverse()) this.append(id);
      this.read(person);
    }

    #wake(person: Person): void {
      if (!person.isFrozen) return;
      person.isFrozen = false;
      if (person.agreed < Infinity) this.#repair(person, false);
      this.read(person);
    }

    /** The window looks, and tells the others what it has now. */
    #show({ check, messages }: Person): void {
      const isRepaired = messages.every(({ state }) => state.kind !== 'lost');
      check.see({ messages, state: isRepaired ? 'joined' : 'repairing', isReplaced: false, isOnline: true });
      for (const other of this.#awake) other.check.hear(check.report(this.#now), this.#now);
    }
  }

  test('is never accused', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
        const world = new World();
        world.run(steps);
        for (const found of world.verdicts()) expect(found).toEqual([0, 0, 0]);
      }),
      { numRuns: 500 },
    );
  });

  test('is accused when a window misses a message that others have read', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.nat(2), (steps, who) => {
        const world = new World();
        world.run(steps);
        const victim = world.people[who];
        const others = world.people.filter((one) => one !== victim);
        if (victim === undefined) return;
        // All read three more messages of somebody else, and the victim does not get the second.
        for (const id of ['y1', 'y2', 'y3']) {
          world.append(id);
          for (const other of others) world.read(other);
          if (id === 'y2') victim.at = world.log.length;
          else world.read(victim);
        }
        expect(world.verdicts().map(([lost]) => lost)).toEqual([1, 1, 1]);
      }),
    );
  });
});

test('words say what was counted, and what is wrong', () => {
  const counts = { sent: 12, inLog: 12, waiting: 0, read: 24, lost: 0, doubled: 0, disordered: 0 };
  const whole = { ...counts, isWhole: true, windows: 1 };
  expect(countWords(whole)).toBe('12 sent by this device · 12 in the log · 24 read here');
  expect(countWords({ ...whole, isWhole: false })).toMatch(/^of the newest 1,000: 12 sent by this device/);
  expect(wrongWords(whole)).toBe('nothing lost, doubled or out of order');
  const broken = { ...whole, inLog: 10, waiting: 2, lost: 1, disordered: 3 };
  expect(countWords(broken)).toBe('12 sent by this device · 10 in the log, 2 wait · 24 read here');
  expect(wrongWords(broken)).toBe('1 lost, 3 out of order');
});
