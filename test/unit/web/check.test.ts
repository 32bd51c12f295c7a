import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ChatConversation, ChatMessage, MessageState } from '../../../client/index.ts';
import { RunningCheck, type Verdict } from '../../../web/break/check.ts';
import { countWords, wrongWords } from '../../../web/break/check-words.ts';

const CONVERSATION = 'c';
/** Later than everything that is waited for. */
const LATER = 1_000_000;

function message(id: string, state: MessageState, { isOwn = false, isDeleted = false } = {}): ChatMessage {
  return {
    ...{ id, conversation: CONVERSATION, sender: 'alice', device: 'key', text: 'hello', at: 0 },
    ...{ state, isOwn, isDeleted },
  };
}
const seen = (id: string, seq: number, more?: { isOwn?: boolean; isDeleted?: boolean }): ChatMessage =>
  message(id, { kind: 'seen', seq }, more);

/** A window with its check. */
function open(window: string): {
  check: RunningCheck;
  see: (messages: ChatMessage[], state?: ChatConversation['state'], isOnline?: boolean) => void;
} {
  const check = new RunningCheck({ window, user: window, conversation: CONVERSATION });
  return { check, see: (messages, state = 'joined', isOnline = true) => check.see({ messages, state, isOnline }) };
}

/** The verdict after all waiting times. */
function settled(check: RunningCheck): Verdict {
  check.verdict(0);
  return check.verdict(LATER);
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
      windows: 0,
    });
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
    expect(check.verdict(0).disordered).toBe(1);
  });

  test('waits until a difference has lasted', () => {
    const { check, see } = open('a');
    see([message('m1', { kind: 'sent', seq: 3 }, { isOwn: true })]);
    see([]);
    expect(check.verdict(0).lost).toBe(0);
    expect(check.verdict(9_999).lost).toBe(0);
    expect(check.verdict(10_000).lost).toBe(1);
  });
});

describe('two windows', () => {
  /** Both see the same messages first, so that they vouch for what follows. */
  function two(): { a: ReturnType<typeof open>; b: ReturnType<typeof open>; compare: () => number[] } {
    const [a, b] = [open('a'), open('b')];
    for (const { see } of [a, b]) see([seen('m1', 3)]);
    const compare = (): number[] => {
      a.check.verdict(0);
      a.check.hear(b.check.report(), LATER);
      a.check.verdict(LATER);
      a.check.hear(b.check.report(), LATER + 10_000);
      return wrong(a.check.verdict(LATER + 10_000));
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
  });

  test('are not compared with a window that was closed', () => {
    const { a, b } = two();
    a.see([seen('m1', 3), seen('m2', 4), seen('m3', 5)]);
    b.see([seen('m1', 3), seen('m3', 5)]);
    a.check.hear(b.check.report(), 0);
    expect(a.check.verdict(0).windows).toBe(1);
    expect(a.check.verdict(LATER)).toMatchObject({ lost: 0, windows: 0 });
  });
});

describe('a service that keeps its word, restored and not', () => {
  /** One thing that happens. Windows read the log at their own speed, and leave and come back. */
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ does: fc.constant('send' as const), by: fc.nat(2) }) },
    { weight: 2, arbitrary: fc.record({ does: fc.constant('commit' as const), by: fc.nat(2) }) },
    { weight: 6, arbitrary: fc.record({ does: fc.constant('read' as const), by: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('rejoin' as const), by: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('delete' as const), by: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('restore' as const), by: fc.nat(9) }) },
  );

  interface Person {
    readonly name: string;
    readonly check: RunningCheck;
    messages: ChatMessage[];
    /** Position in the log. */
    at: number;
  }
  /** A log of ids; `undefined` = a commit. */
  class World {
    log: (string | undefined)[] = [];
    readonly people: Person[] = ['a', 'b', 'c'].map((name) => ({ name, check: open(name).check, messages: [], at: 0 }));
    #made = 0;

    run(steps: readonly { does: string; by: number }[]): void {
      for (const person of this.people) this.#show(person);
      for (const { does, by } of steps) {
        const person = this.people[by % 3];
        if (person === undefined) continue;
        if (does === 'send') this.#send(person);
        if (does === 'commit') this.log.push(undefined);
        if (does === 'read') this.read(person);
        if (does === 'rejoin') this.#rejoin(person);
        if (does === 'delete') this.#delete(person);
        if (does === 'restore') this.#restore(by);
      }
      for (const person of this.people) this.read(person);
      // The last message is read by all, so that what is missing before it is missing.
      for (const person of this.people) this.#send(person);
      for (const person of this.people) this.read(person);
    }

    verdicts(): number[][] {
      for (const { check } of this.people) {
        check.verdict(0);
        for (const now of [LATER, LATER + 10_000]) {
          for (const other of this.people) check.hear(other.check.report(), now);
          check.verdict(now);
        }
      }
      return this.people.map(({ check }) => wrong(check.verdict(LATER + 10_000)));
    }

    read(person: Person): void {
      for (; person.at < this.log.length; person.at++) {
        const id = this.log[person.at];
        if (id === undefined) continue;
        const one = seen(id, person.at + 1, { isOwn: id.startsWith(person.name) });
        const kept = person.messages.filter((other) => other.id !== id);
        const waits = kept.findIndex(({ state }) => state.kind !== 'seen');
        person.messages = waits === -1 ? [...kept, one] : [...kept.slice(0, waits), one, ...kept.slice(waits)];
        person.check.arrived(one);
        this.#show(person);
      }
    }

    #send(person: Person): void {
      const id = `${person.name}${this.#made++}`;
      person.messages = [...person.messages, message(id, { kind: 'waiting' }, { isOwn: true })];
      this.#show(person);
      this.log.push(id);
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
      const skipped = this.#made++;
      this.log.push(`x${skipped}`);
      for (const other of this.people) if (other !== person) this.read(other);
      person.at = this.log.length;
      this.#show(person);
    }

    #delete(person: Person): void {
      const newest = person.messages.find(({ isOwn, state }) => isOwn && state.kind === 'seen');
      if (newest === undefined) return;
      for (const other of this.people) {
        if (!other.messages.some(({ id, state }) => id === newest.id && state.kind === 'seen')) continue;
        other.messages = other.messages.map((one) => (one.id === newest.id ? { ...one, isDeleted: true } : one));
        this.#show(other);
      }
    }

    /** The service loses the end of the log; senders send again what it had. */
    #restore(lost: number): void {
      for (const person of this.people) this.read(person);
      const agreed = Math.max(0, this.log.length - lost);
      const gone = this.log.slice(agreed).filter((id) => id !== undefined);
      this.log = this.log.slice(0, agreed);
      for (const person of this.people) {
        person.check.restarted(agreed);
        person.at = agreed;
        person.messages = person.messages.map((one) =>
          'seq' in one.state && one.state.seq > agreed ? { ...one, state: { kind: 'lost', seq: one.state.seq } } : one,
        );
        this.#show(person);
      }
      this.log.push(...gone.reverse());
      for (const person of this.people) this.read(person);
    }

    #show({ check, messages }: Person): void {
      const isRepaired = messages.every(({ state }) => state.kind !== 'lost');
      check.see({ messages, state: isRepaired ? 'joined' : 'repairing', isOnline: true });
    }
  }

  test('is never accused', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const world = new World();
        world.run(steps);
        expect(world.verdicts()).toEqual([0, 1, 2].map(() => [0, 0, 0]));
      }),
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
          world.log.push(id);
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
  const counts = { sent: 12, inLog: 12, waiting: 0, read: 24, lost: 0, doubled: 0, disordered: 0, windows: 1 };
  expect(countWords(counts)).toBe('12 sent by this window · 12 in the log · 24 read here');
  expect(wrongWords(counts)).toBe('nothing lost, doubled or out of order');
  const broken = { ...counts, inLog: 10, waiting: 2, lost: 1, disordered: 3 };
  expect(countWords(broken)).toBe('12 sent by this window · 10 in the log, 2 wait · 24 read here');
  expect(wrongWords(broken)).toBe('1 lost, 3 out of order');
});
