import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { Breaker, type PendingUpdate, SILENT_MS } from '../../../../dispatch/auto/breaker.ts';

let now: number;
let breaker: Breaker;
beforeEach(() => {
  now = 0;
  breaker = new Breaker(() => now);
});

function begin(conversation: string): PendingUpdate {
  const update = { conversation, since: now, hasWaitingSender: () => false, giveUp: () => undefined };
  breaker.began(update);
  return update;
}

test('calls of several conversations are silent after some time without any answer', () => {
  const [first] = ['a', 'b', 'c'].map(begin);
  now = SILENT_MS - 1;
  expect(breaker.silent()).toEqual([]);
  now = SILENT_MS;
  expect(breaker.silent()).toEqual(['a', 'b', 'c']);
  if (first === undefined) throw new Error('There is no update');
  breaker.ended(first, true);
  // Somebody was answered just now.
  expect(breaker.silent()).toEqual([]);
  now = 2 * SILENT_MS;
  expect(breaker.silent()).toEqual(['b', 'c']);
});

test('an update that was given up is no answer', () => {
  const updates = ['a', 'b', 'c', 'd'].map(begin);
  now = SILENT_MS;
  for (const update of updates.slice(0, 1)) breaker.ended(update, false);
  expect(breaker.silent()).toEqual(['b', 'c', 'd']);
  expect(breaker.hasAnsweredSince(0)).toBe(false);
});

test('two probes in a row close it; a failed one starts again', () => {
  expect(breaker.open('unavailable')).toBe(true);
  expect(breaker.open('silent')).toBe(false);
  expect(breaker.state).toBe('open');
  expect(breaker.probed(true)).toBe(false);
  expect(breaker.state).toBe('half-open');
  expect(breaker.probed(false)).toBe(false);
  expect(breaker.state).toBe('open');
  expect([breaker.probed(true), breaker.probed(true)]).toEqual([false, true]);
  expect(breaker.state).toBe('closed');
});

test('each opening soon after a closing needs twice the probes, so that it does not flap', () => {
  const probes = (): number => {
    breaker.open('silent');
    for (let n = 1; ; n++) {
      now += 1000;
      if (breaker.probed(true)) return n;
    }
  };
  expect([probes(), probes(), probes(), probes()]).toEqual([2, 4, 8, 8]);
  now += 60_000;
  expect(probes()).toBe(2);
});

test('conversations that were silent when it opened do not open it again by their silence alone', () => {
  for (const conversation of ['a', 'b', 'c']) begin(conversation);
  now = 600;
  breaker.open('silent');
  breaker.probed(true);
  breaker.probed(true);
  now = 2000;
  expect(breaker.silent()).toEqual([]);
  const later = begin('d');
  now = 3000;
  expect(breaker.silent()).toEqual(['d']);
  breaker.ended(later, true);
  // Once it is answered, a suspect counts as all others do.
  breaker.ended(begin('a'), true);
  begin('a');
  now = 4000;
  expect(new Set(breaker.silent())).toEqual(new Set(['a']));
});

test('it is open from its opening to its closing and never else, whatever comes', () => {
  const step = fc.constantFrom('open', 'ok', 'fail', 'wait', 'answer');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      now = 0;
      breaker = new Breaker(() => now);
      let isOpen = false;
      for (const one of steps) {
        if (one === 'open') {
          expect(breaker.open('silent')).toBe(!isOpen);
          isOpen = true;
        } else if (one === 'ok' || one === 'fail') {
          const closed = breaker.probed(one === 'ok');
          if (closed) expect([isOpen, one]).toEqual([true, 'ok']);
          isOpen &&= !closed;
        } else if (one === 'answer') breaker.ended(begin('a'), true);
        else now += 700;
        expect(breaker.isOpen).toBe(isOpen);
        expect(breaker.openMs > 0 ? isOpen : true).toBe(true);
      }
    }),
  );
});
